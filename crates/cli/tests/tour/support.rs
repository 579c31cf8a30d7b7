//! The command as a child with a watchdog, in little memory.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Whatever takes longer than this hangs. No test waits so long for anything that works.
const WATCHDOG: Duration = Duration::from_secs(150);
/// Kilobytes of address space.
const MEMORY_KB: u32 = 2 << 20;

/// How a run ended.
pub(crate) struct Ended {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// All of standard output.
    pub(crate) stdout: String,
    /// All of standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Fails with all output unless the run ended with `code`.
    #[track_caller]
    pub(crate) fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The command with these arguments, separated by blanks, in little memory and without a locale.
pub(crate) fn ropewalk(arguments: &str) -> Command {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("ulimit -v {MEMORY_KB}; exec \"$0\" \"$@\""),
        env!("CARGO_BIN_EXE_ropewalk"),
    ]);
    command.args(arguments.split_whitespace());
    for variable in ["LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(mut command: Command) -> Ended {
    let mut child = command.spawn().expect("there is a shell");
    let mut readers = Vec::new();
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    for pipe in [stdout, stderr] {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_string(&mut text);
            }
            let _ = sender.send(text);
        });
        readers.push(receiver);
    }
    let mut texts = readers.into_iter().map(|reader| reader.recv_timeout(WATCHDOG));
    let (Some(Ok(stdout)), Some(Ok(stderr))) = (texts.next(), texts.next()) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} hangs");
    };
    let code = child.wait().expect("it is our child").code();
    Ended { code, stdout, stderr }
}

/// The program's own output.
#[track_caller]
pub(crate) fn bare(topic: &str) -> String {
    let ended = run(ropewalk(&format!("tour {topic} --bare"))).assert_code(0);
    assert_eq!(ended.stderr, "");
    ended.stdout
}
