//! What a foreign program is to be started with.

use std::collections::{BTreeMap, btree_map};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::slice;

use ropewalk_runtime::process::foreign::Foreign;
use ropewalk_runtime::process::shim::{self, Execute};
use ropewalk_runtime::process::stdio::{Stdio, is_piped, to_descriptor, to_std};

use super::child::{Child, ChildStderr, ChildStdin, ChildStdout};
use crate::io::{PipeReader, PipeWriter, pipe};

/// Starts a program of any kind, mirroring [`std::process::Command`] and what [`CommandExt`] adds to it; whoever waits for
/// the program, or for what it prints, waits as for everything else.
///
/// ```
/// use ropewalk::process::Command;
///
/// let echo = ropewalk::coroutine::spawn(|| Command::new("echo").arg("hand in hand").output());
/// let output = echo.join()??;
/// assert!(output.status.success());
/// assert_eq!(output.stdout, b"hand in hand\n");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// What differs from std: there is no `pre_exec` (what runs between fork and exec may do next to nothing, and forks of a
/// large process are slow), and no `exec` and `groups`; there is [`die_with_parent`](Self::die_with_parent). The methods of
/// `CommandExt` are the type's own.
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    arg0: Option<OsString>,
    environment: BTreeMap<OsString, Option<OsString>>,
    environment_cleared: bool,
    directory: Option<PathBuf>,
    user: Option<u32>,
    group: Option<u32>,
    process_group: Option<i32>,
    die_with_parent: bool,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
}

impl Command {
    /// For this program: a path, or a name to be looked for in `PATH`. It gets no arguments, this process's environment and
    /// directory, and what [`spawn`](Self::spawn), [`status`](Self::status) and [`output`](Self::output) say of its streams.
    #[must_use]
    pub fn new<S: AsRef<OsStr>>(program: S) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            arg0: None,
            environment: BTreeMap::new(),
            environment_cleared: false,
            directory: None,
            user: None,
            group: None,
            process_group: None,
            die_with_parent: false,
            stdin: None,
            stdout: None,
            stderr: None,
        }
    }

    /// Adds an argument.
    pub fn arg<S: AsRef<OsStr>>(&mut self, argument: S) -> &mut Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, arguments: I) -> &mut Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// What the program is told that it is called (`argv[0]`): its name, unless told otherwise.
    pub fn arg0<S: AsRef<OsStr>>(&mut self, name: S) -> &mut Self {
        self.arg0 = Some(name.as_ref().to_owned());
        self
    }

    /// Sets a variable of its environment.
    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, key: K, value: V) -> &mut Self {
        self.environment.insert(key.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Sets variables of its environment.
    pub fn envs<I, K, V>(&mut self, variables: I) -> &mut Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        for (key, value) in variables {
            self.env(key, value);
        }
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Self {
        if self.environment_cleared {
            self.environment.remove(key.as_ref());
        } else {
            self.environment.insert(key.as_ref().to_owned(), None);
        }
        self
    }

    /// It has no variables but those that are set from here on.
    pub fn env_clear(&mut self) -> &mut Self {
        self.environment_cleared = true;
        self.environment.clear();
        self
    }

    /// Its working directory. Whether a path of the program that is relative counts from there is not to be relied on.
    pub fn current_dir<P: AsRef<Path>>(&mut self, directory: P) -> &mut Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// The user that it runs as, by number. To change it takes a right (`CAP_SETUID`).
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.user = Some(id);
        self
    }

    /// The group of users that it runs as, by number. To change it takes a right (`CAP_SETGID`).
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.group = Some(id);
        self
    }

    /// The process group that it joins; 0: one of its own, of its own number. Unless told otherwise it is in this process's
    /// group, so what is typed at a terminal (Ctrl-C, Ctrl-Z) reaches it as it reaches this process.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.process_group = Some(group);
        self
    }

    /// Has the kernel kill it (`SIGKILL`) when this process ends, however that ends: by default it runs on. What it has
    /// started itself is its own affair. For a program with more rights than this one (set-user-ID, capabilities) the kernel
    /// forgets it (`PR_SET_PDEATHSIG`, prctl(2)).
    ///
    /// This program starts in its place, asks the kernel, and executes it then: that is two starts, which take two to three times
    /// as long as one, and what a [`process`](super::spawn) needs (`/proc`, a program that may be executed) must be there.
    ///
    /// ```
    /// use ropewalk::process::Command;
    ///
    /// let mut sleeper = Command::new("sleep").arg("3600").die_with_parent(true).spawn()?;
    /// // Whatever happens to this process now, nobody sleeps on.
    /// sleeper.kill()?;
    /// assert!(!sleeper.wait()?.success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn die_with_parent(&mut self, yes: bool) -> &mut Self {
        self.die_with_parent = yes;
        self
    }

    /// Where its standard input comes from.
    pub fn stdin<T: Into<Stdio>>(&mut self, stdin: T) -> &mut Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Where its standard output goes.
    pub fn stdout<T: Into<Stdio>>(&mut self, stdout: T) -> &mut Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Where its standard error goes.
    pub fn stderr<T: Into<Stdio>>(&mut self, stderr: T) -> &mut Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// Starts it. Its streams are this process's, unless told otherwise.
    ///
    /// # Errors
    /// What the kernel says, as std: there is no such program ([`NotFound`](io::ErrorKind::NotFound)), or it may not be
    /// executed; there is no room for another process (`ulimit -u`) or its descriptors (`ulimit -n`); a NUL byte is in a
    /// text ([`InvalidInput`](io::ErrorKind::InvalidInput)).
    ///
    /// # Waits
    /// Until it runs. Another thread starts it.
    ///
    /// # Cancellation
    /// A start that has begun is not broken off; the cancel comes at the next wait, and whoever has the [`Child`] by then
    /// decides about the program.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.start([Stdio::inherit(), Stdio::inherit(), Stdio::inherit()])
    }

    /// Runs it, and gives what it has printed and how it has ended. Unless told otherwise its input is empty, and its output
    /// and error are collected.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Waits
    /// Until it has ended, and nobody else has its output open: see [`Child::wait_with_output`].
    ///
    /// # Cancellation
    /// Kills the program, and unwinds.
    pub fn output(&mut self) -> io::Result<Output> {
        self.start([Stdio::null(), Stdio::piped(), Stdio::piped()])?.wait_with_output()
    }

    /// Runs it, and gives how it has ended. Its streams are this process's, unless told otherwise.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Waits
    /// Until it has ended.
    ///
    /// # Cancellation
    /// Kills the program, and unwinds.
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.into_status()
    }

    /// Starts it, with streams for what was not said.
    fn start(&self, [stdin, stdout, stderr]: [Stdio; 3]) -> io::Result<Child> {
        let stdin = self.stdin.as_ref().unwrap_or(&stdin);
        let stdout = self.stdout.as_ref().unwrap_or(&stdout);
        let stderr = self.stderr.as_ref().unwrap_or(&stderr);
        let (reader, input) = match is_piped(stdin) {
            true => pipe()
                .map(|(reader, writer)| (Some(OwnedFd::from(reader)), Some(ChildStdin::from(writer))))?,
            false => (None, None),
        };
        let (stdout, output) = output_stream(stdout)?;
        let (stderr, error) = output_stream(stderr)?;
        let foreign = if self.die_with_parent {
            let mut command = self.configure(shim::command()?);
            command.stdout(stdout).stderr(stderr);
            let stdin = reader.map_or_else(|| to_descriptor(stdin), |reader| Ok(Some(reader)))?;
            shim::start(command, self.execute()?, stdin)?
        } else {
            let mut command = self.to_std();
            match reader {
                Some(reader) => command.stdin(reader),
                None => command.stdin(to_std(stdin)?.expect("a new pipe has a reader")),
            };
            command.stdout(stdout).stderr(stderr);
            Foreign::start(command)?
        };
        Ok(Child::new(foreign, input, output.map(ChildStdout::from), error.map(ChildStderr::from)))
    }

    /// All but the streams.
    fn to_std(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        if let Some(name) = &self.arg0 {
            command.arg0(name);
        }
        command.args(&self.arguments);
        self.configure(command)
    }

    /// What is to be executed in place of this program.
    fn execute(&self) -> io::Result<Execute> {
        let texts = [&self.program].into_iter().chain(&self.arg0).chain(&self.arguments);
        if texts.into_iter().any(|text| text.as_bytes().contains(&0)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a NUL byte is in the program or an argument",
            ));
        }
        let (program, arg0, arguments) = (self.program.clone(), self.arg0.clone(), self.arguments.clone());
        Ok(Execute { program, arg0, arguments })
    }

    /// What is set before the program is executed.
    fn configure(&self, mut command: std::process::Command) -> std::process::Command {
        if self.environment_cleared {
            command.env_clear();
        }
        for (key, value) in &self.environment {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if let Some(user) = self.user {
            command.uid(user);
        }
        if let Some(group) = self.group {
            command.gid(group);
        }
        if let Some(group) = self.process_group {
            command.process_group(group);
        }
        command
    }

    /// The program, as it was given.
    #[must_use]
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// Its arguments, without `argv[0]`.
    #[must_use]
    pub fn get_args(&self) -> CommandArgs<'_> {
        CommandArgs { inner: self.arguments.iter() }
    }

    /// The variables that were set (`Some`) or taken out (`None`), by name.
    #[must_use]
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        CommandEnvs { inner: self.environment.iter() }
    }

    /// Its working directory; `None` if that is this process's.
    #[must_use]
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

/// What a program writes to, and where that can be read, if it can.
fn output_stream(stdio: &Stdio) -> io::Result<(std::process::Stdio, Option<PipeReader>)> {
    if let Some(stdio) = to_std(stdio)? {
        return Ok((stdio, None));
    }
    let (reader, writer): (_, PipeWriter) = pipe()?;
    Ok((writer.into(), Some(reader)))
}

impl fmt::Debug for Command {
    /// The command as one would type it, as std.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_std().fmt(f)
    }
}

/// The arguments of a [`Command`].
#[derive(Clone, Debug)]
pub struct CommandArgs<'a> {
    inner: slice::Iter<'a, OsString>,
}

impl<'a> Iterator for CommandArgs<'a> {
    type Item = &'a OsStr;

    fn next(&mut self) -> Option<&'a OsStr> {
        self.inner.next().map(OsString::as_os_str)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl ExactSizeIterator for CommandArgs<'_> {}

/// The changes of the environment of a [`Command`].
#[derive(Clone, Debug)]
pub struct CommandEnvs<'a> {
    inner: btree_map::Iter<'a, OsString, Option<OsString>>,
}

impl<'a> Iterator for CommandEnvs<'a> {
    type Item = (&'a OsStr, Option<&'a OsStr>);

    fn next(&mut self) -> Option<Self::Item> {
        self.inner.next().map(|(key, value)| (key.as_os_str(), value.as_deref()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl ExactSizeIterator for CommandEnvs<'_> {}
