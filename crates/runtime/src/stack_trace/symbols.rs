//! Names for return addresses, from the program's own debug information and symbol tables.

use std::fmt;
use std::path::{Path, PathBuf};

/// One call of a [`StackTrace`](super::StackTrace).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Frame {
    /// The function's name, or its address where the program has no name for it.
    pub function: String,
    /// The source file, where the program has debug information.
    pub file: Option<PathBuf>,
    /// The line of the call.
    pub line: Option<u32>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        if let Some(place) = self.place() {
            write!(f, " at {place}")?;
        }
        Ok(())
    }
}

impl Frame {
    /// `file:line`, below the current directory where it is.
    pub(crate) fn place(&self) -> Option<String> {
        let file = self.file.as_deref()?;
        let here = std::env::current_dir().ok();
        let file = here.as_deref().and_then(|here| file.strip_prefix(here).ok()).unwrap_or(file);
        Some(place(file, self.line))
    }
}

fn place(file: &Path, line: Option<u32>) -> String {
    match line {
        Some(line) => format!("{}:{line}", file.display()),
        None => file.display().to_string(),
    }
}

/// The calls at these addresses, inlined ones too, without Ropewalk's own at both ends.
pub(super) fn frames(addresses: &[usize]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for &address in addresses {
        let before = frames.len();
        backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
            frames.push(Frame {
                // Without the hash.
                function: symbol.name().map_or_else(|| format!("{address:#x}"), |name| format!("{name:#}")),
                file: symbol.filename().map(Path::to_owned),
                line: symbol.lineno(),
            });
        });
        if frames.len() == before {
            frames.push(Frame { function: format!("{address:#x}"), file: None, line: None });
        }
    }
    trim(frames)
}

/// Leaves out how the task came to wait, and how it came to run; of our own functions in between, all but the one that
/// was called. But never all calls.
fn trim(mut frames: Vec<Frame>) -> Vec<Frame> {
    let is_own = |frame: &Frame| is_ours(frame) || is_plumbing(frame);
    if frames.iter().all(is_own) {
        return frames;
    }
    while frames.last().is_some_and(|frame| is_own(frame) || is_root(frame)) {
        frames.pop();
    }
    let first = frames.iter().position(|frame| !is_own(frame)).unwrap_or(0);
    let frames = frames.split_off(first);
    let mut called =
        frames.iter().skip(1).map(|frame| !is_own(frame)).chain([true]).collect::<Vec<_>>().into_iter();
    frames.into_iter().filter(|frame| called.next() == Some(true) || !is_own(frame)).collect()
}

/// The path that a symbol starts with, without what stands before it in the name of an `impl`.
fn path(function: &str) -> &str {
    let path = function.trim_start_matches(['<', '&', '*']);
    path.strip_prefix("mut ").or_else(|| path.strip_prefix("dyn ")).unwrap_or(path)
}

/// Whether the name says in which crate the function is. In an optimised program with line tables alone the name of a
/// function that was inlined has no path; then its file has to tell.
fn has_path(function: &str) -> bool {
    let name = path(function);
    name.split('<').next().is_some_and(|name| name.contains("::")) || name.contains(" as ")
}

/// The file of a frame whose name has no path.
fn file_instead(frame: &Frame) -> Option<&str> {
    if has_path(&frame.function) { None } else { frame.file.as_deref()?.to_str() }
}

/// Whether the file is one of Ropewalk's, or corosensei's.
fn is_our_file(file: &str) -> bool {
    // Where this crate was compiled; the others lie beside it, as folders of the repository or as packages.
    const OWN: &str = env!("CARGO_MANIFEST_DIR");
    let (parent, name) = OWN.rsplit_once('/').unwrap_or(("", OWN));
    let in_crate = |krate: &str| {
        let rest = file.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/'));
        let rest = rest.and_then(|rest| rest.strip_prefix(name.replace("runtime", krate).as_str()));
        rest.is_some_and(|rest| rest.starts_with("/src/"))
    };
    file.contains("/corosensei-") || ["runtime", "sync", "sys", "ipc"].into_iter().any(in_crate)
}

/// Whether the file is one of these of the standard library.
fn is_std_file(file: &str, files: &[&str]) -> bool {
    file.split_once("/library/").is_some_and(|(_, rest)| files.iter().any(|start| rest.starts_with(start)))
}

fn is_ours(frame: &Frame) -> bool {
    let function = &frame.function;
    // Of the crate `ropewalk` the modules that have code: a program may have its name, as our command has.
    const OURS: [&str; 7] = [
        "ropewalk::net::",
        "ropewalk::thread::",
        "ropewalk_ipc::",
        "ropewalk_runtime::",
        "ropewalk_sync::",
        "ropewalk_sys::",
        "corosensei::",
    ];
    OURS.iter().any(|krate| path(function).starts_with(krate)) || file_instead(frame).is_some_and(is_our_file)
}

/// What stands between two of our functions.
fn is_plumbing(frame: &Frame) -> bool {
    const FILES: [&str; 8] = [
        "core/src/ops/function.rs",
        "core/src/panic/unwind_safe.rs",
        "core/src/option.rs",
        "core/src/iter/",
        "core/src/cell",
        "std/src/panicking.rs",
        "std/src/panic.rs",
        "std/src/thread/local.rs",
    ];
    const PLUMBING: [&str; 8] = [
        "core::ops::function::",
        "core::panic::unwind_safe::",
        "core::option::",
        "core::iter::",
        "core::cell::",
        "std::panic",
        "std::thread::local::",
        "__rust_try",
    ];
    PLUMBING.iter().any(|start| path(&frame.function).starts_with(start))
        || file_instead(frame).is_some_and(|file| is_std_file(file, &FILES))
}

/// What is below the first function of a thread or a coroutine.
fn is_root(frame: &Frame) -> bool {
    const FILES: [&str; 4] = ["std/src/rt.rs", "std/src/sys/", "std/src/thread/", "alloc/src/boxed.rs"];
    const ROOTS: [&str; 9] = [
        "ropewalk_stack_root",
        "stack_init_trampoline",
        "start_thread",
        "clone",
        "clone3",
        "__clone",
        "__clone3",
        "main",
        "_start",
    ];
    const BELOW: [&str; 6] =
        ["std::rt::", "std::sys::", "std::thread::", "alloc::boxed::", "__libc_start", "0x"];
    let function = frame.function.as_str();
    ROOTS.contains(&function)
        || BELOW.iter().any(|start| path(function).starts_with(start))
        || file_instead(frame).is_some_and(|file| is_std_file(file, &FILES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(functions: &[&str]) -> Vec<Frame> {
        let frame = |function: &&str| Frame { function: (*function).into(), file: None, line: None };
        functions.iter().map(frame).collect()
    }

    #[test]
    fn what_is_ours_goes_but_for_what_was_called_in_the_middle() {
        let all = [
            "<ropewalk_runtime::task::cell::Cell<P, F, T> as ropewalk_sync::park::Park>::sleep",
            "core::ops::function::FnOnce::call_once",
            "ropewalk_sync::park::park",
            "<ropewalk::net::tcp::TcpStream as std::io::Read>::read",
            "std::io::Read::read_exact",
            "shop::pay",
            "std::panicking::catch_unwind",
            "ropewalk_runtime::timeout::run",
            "ropewalk_runtime::timeout::timeout",
            "<shop::Till as shop::Serve>::serve",
            "ropewalk_runtime::task::cell::Cell<P,F,T>::execute",
            "std::panicking::catch_unwind",
            "corosensei::unwind::catch_unwind_at_root",
            "stack_init_trampoline",
        ];
        let rest = ["std::io::Read::read_exact", "shop::pay", "ropewalk_runtime::timeout::timeout", all[9]];
        assert_eq!(trim(frames(&all)), frames(&rest));
    }

    #[test]
    fn inlined_functions_without_a_path_are_known_by_their_files() {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/src/task/cell.rs");
        let sync = own.replace("runtime/src/task/cell", "sync/src/park/mod");
        let std = "/rustc/0123/library/std/src/panicking.rs";
        let all = [
            ("with_current<(), ropewalk_sync::park::park::{closure_env#0}>", Some(sync.as_str())),
            ("recv<()>", Some(sync.as_str())),
            ("deep", Some("/home/me/shop/src/main.rs")),
            ("{closure#0}", Some("/home/me/shop/src/main.rs")),
            (
                "do_call<core::panic::unwind_safe::AssertUnwindSafe<shop::main::{closure_env#0}>, ()>",
                Some(std),
            ),
            ("execute<shop::main::{closure_env#0}, ()>", Some(own)),
            ("__rust_try", None),
            ("catch_unwind_at_root<()>", Some("/registry/corosensei-0.3.4/src/unwind.rs")),
        ];
        let frame = |(function, file): &(&str, Option<&str>)| Frame {
            function: (*function).into(),
            file: file.map(PathBuf::from),
            line: None,
        };
        let frames: Vec<_> = all.iter().map(frame).collect();
        assert_eq!(trim(frames.clone()), frames[2..4]);
    }

    #[test]
    fn a_program_of_nothing_but_ours_is_left_as_it_is() {
        let all = frames(&["ropewalk_sync::park::park", "ropewalk::net::tcp::TcpListener::accept"]);
        assert_eq!(trim(all.clone()), all);
    }

    #[test]
    fn the_functions_of_a_program_named_as_we_are_are_the_users() {
        let all =
            frames(&["ropewalk::net::tcp::TcpStream::connect", "ropewalk::tour::show", "ropewalk::main"]);
        assert_eq!(trim(all.clone()), all[1..]);
    }

    #[test]
    fn the_functions_of_a_crate_named_main_are_the_users() {
        let all = frames(&["main::worker", "main::main", "main", "__libc_start_main_impl", "_start"]);
        assert_eq!(trim(all.clone()), all[..2]);
    }
}
