//! What is not written in Rust: found if it is installed, built if it is older than its source, reported if it is absent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::table::Sample;

/// Something to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Go,
    Boost,
    Nginx,
    Wrk,
    C,
    Python,
}

impl Tool {
    pub(crate) const ALL: [Self; 6] = [Self::Go, Self::Boost, Self::Nginx, Self::Wrk, Self::C, Self::Python];

    /// The package of Debian.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Go => "golang-go",
            Self::Boost => "g++ libboost-fiber-dev",
            Self::Nginx => "nginx-light",
            Self::Wrk => "wrk",
            Self::C => "gcc",
            Self::Python => "python3",
        }
    }

    /// What it says of its version; none where it is absent.
    pub(crate) fn version(self) -> Option<String> {
        let said = match self {
            Self::Go => said(Command::new(newest_go()?).arg("version")),
            Self::Boost => {
                prepare(self).ok()?;
                said(Command::new(built("boost")).arg("version"))
            }
            Self::Nginx => said(Command::new(nginx()).arg("-v")),
            Self::Wrk => said(Command::new("wrk").arg("-v")),
            Self::C => said(Command::new("cc").arg("--version")),
            Self::Python => said(Command::new("python3").arg("--version")),
        }?;
        said.lines().next().map(str::to_owned)
    }
}

/// Makes it ready to run: `Err` says what is missing.
pub(crate) fn prepare(tool: Tool) -> Result<(), String> {
    static READY: [OnceLock<Result<(), String>>; Tool::ALL.len()] =
        [const { OnceLock::new() }; Tool::ALL.len()];
    let make = || match tool {
        Tool::Go => build_go(),
        Tool::Boost => build_boost(),
        Tool::Nginx | Tool::Wrk | Tool::C | Tool::Python => match tool.version() {
            Some(_) => Ok(()),
            None => Err(not_installed(tool)),
        },
    };
    READY[tool as usize].get_or_init(make).clone()
}

fn not_installed(tool: Tool) -> String {
    format!("not installed (Debian: {})", tool.package())
}

/// Runs a case of the program in `go`, which prints what it measured.
pub(crate) fn go(case: &str, operations: u64, cpus: usize) -> Sample {
    let mut command = Command::new(built("go"));
    measured(command.env("GOMAXPROCS", cpus.to_string()).arg(case).arg(operations.to_string()))
}

/// Runs a case of the program in `boost`.
pub(crate) fn boost(case: &str, operations: u64) -> Sample {
    measured(Command::new(built("boost")).arg(case).arg(operations.to_string()))
}

fn measured(command: &mut Command) -> Sample {
    let output = command.stderr(Stdio::inherit()).output().expect("it was built");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?}: {} {text}", command.get_program(), output.status);
    serde_json::from_str(text.lines().last().unwrap_or_default()).expect("it prints what it measured")
}

/// Where Debian puts it, which is not in every user's path.
pub(crate) fn nginx() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

/// A program built here: beside this one.
pub(crate) fn built(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its path");
    program.parent().expect("it is in a folder").join("rivals").join(name)
}

/// A folder of this workspace.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn build_go() -> Result<(), String> {
    let source = source("go");
    let go = newest_go().ok_or_else(|| not_installed(Tool::Go))?;
    let files =
        ["go.mod", "main.go", "measure.go", "net.go", "tasks.go", "latency.go"].map(|file| source.join(file));
    // `go build` looks for itself whether there is anything to do, but that takes a second.
    if is_newer(&built("go"), &files) {
        return Ok(());
    }
    let mut command = Command::new(go);
    command.current_dir(&source).args(["build", "-o"]).arg(built("go")).arg(".");
    build("go", command.env("GOFLAGS", "-buildvcs=false -trimpath").env("GOTOOLCHAIN", "local"))
}

fn build_boost() -> Result<(), String> {
    let file = source("boost").join("main.cpp");
    if is_newer(&built("boost"), std::slice::from_ref(&file)) {
        return Ok(());
    }
    if !Path::new("/usr/include/boost/fiber/all.hpp").exists() {
        return Err(not_installed(Tool::Boost));
    }
    let mut command = Command::new("g++");
    command.args(["-std=c++17", "-O3", "-flto", "-DNDEBUG", "-o"]).arg(built("boost")).arg(file);
    build("boost", command.args(["-lboost_fiber", "-lboost_context", "-pthread"]))
}

fn build(what: &str, command: &mut Command) -> Result<(), String> {
    let folder = built("");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    eprintln!("building {what}");
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("it does not build: {}", errors.lines().take(5).collect::<Vec<_>>().join(" ")))
}

fn is_newer(program: &Path, sources: &[PathBuf]) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    let Ok(built) = changed(program) else { return false };
    sources.iter().all(|source| changed(source).is_ok_and(|changed| changed < built))
}

/// The newest Go of those that Debian installs side by side.
fn newest_go() -> Option<PathBuf> {
    let version = |go: &Path| {
        let said = said(Command::new(go).arg("version").env("GOTOOLCHAIN", "local"))?;
        let version = said.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
        Some(version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>())
    };
    let side_by_side = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let side_by_side = side_by_side
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("go-"))
        .map(|entry| entry.path().join("bin/go"));
    let all = std::iter::once(PathBuf::from("go")).chain(side_by_side);
    all.filter_map(|go| version(&go).map(|version| (version, go))).max().map(|(_, go)| go)
}

/// What a command writes, to either output.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}
