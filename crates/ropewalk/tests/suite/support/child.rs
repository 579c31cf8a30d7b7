//! Test bodies that need a process of their own: because they die, count descriptors, or change limits.
//!
//! A test starts its own binary again with libtest's filter for itself alone, and a variable that names the case. In the
//! child the test finds the variable and runs the body instead.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use ropewalk::DriverKind;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::plan::{driver_named, drivers, on_driver};

pub(crate) const CASE: &str = "ROPEWALK_TEST_CASE";

/// The path of the test function in which this stands, as libtest's filter wants it.
macro_rules! test_name {
    () => {{
        let marker = || ();
        $crate::support::child::test_of(&marker)
    }};
}
pub(crate) use test_name;

/// The name of the function in which `marker` was written.
pub(crate) fn test_of<F>(_marker: &F) -> &'static str {
    let path = std::any::type_name::<F>();
    let path = path.split_once("::").map_or(path, |(_crate, rest)| rest);
    path.split("::{{closure}}").next().unwrap_or(path)
}

/// The case that this process was started for; `None` in the parent. A child may die of what it does, without a core dump.
pub(crate) fn case() -> Option<String> {
    let case = std::env::var(CASE).ok()?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).expect("a limit can be lowered");
    Some(case)
}

/// A child to be started.
#[derive(Debug)]
#[must_use = "it does nothing until it is run"]
pub(crate) struct Child {
    /// What runs the test binary, with its arguments: a tracer, or nothing.
    prefix: Vec<OsString>,
    test: &'static str,
    case: String,
    environment: Vec<(&'static str, Option<String>)>,
}

impl Child {
    pub(crate) fn new(test: &'static str, case: impl Into<String>) -> Self {
        Self { prefix: Vec::new(), test, case: case.into(), environment: Vec::new() }
    }

    pub(crate) fn under(mut self, prefix: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.prefix = prefix.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, Some(value.into())));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.environment.push((name, None));
        self
    }

    pub(crate) fn run(self) -> Outcome {
        let binary = std::env::current_exe().expect("the test binary is there").into_os_string();
        let mut line = self.prefix;
        line.push(binary);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).args([self.test, "--exact", "--nocapture", "--test-threads=2"]);
        command.env(CASE, &self.case).stdin(Stdio::null());
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.output().unwrap_or_else(|error| panic!("{:?} does not start: {error}", line[0]));
        let outcome = Outcome {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        // A filter that fits no test is a success for libtest.
        let ran = outcome.stdout.contains("running 1 test");
        assert!(ran, "the child did not run the test {}: {outcome:#?}", self.test);
        outcome
    }
}

/// Runs `body`, in a child for each driver that works here, in a runtime of two workers on it.
#[track_caller]
pub(crate) fn on_every_driver_alone(test: &'static str, body: impl FnOnce(DriverKind) + Send + 'static) {
    if let Some(case) = case() {
        let driver = driver_named(&case);
        return on_driver(driver, move || body(driver));
    }
    for driver in drivers() {
        Child::new(test, driver.to_string()).run().assert_success();
    }
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert!(self.status.success(), "the child failed: {self:#?}");
    }

    #[track_caller]
    pub(crate) fn assert_killed_by(&self, signal: rustix::process::Signal) {
        assert_eq!(self.status.signal(), Some(signal.as_raw()), "how the child died: {self:#?}");
    }
}
