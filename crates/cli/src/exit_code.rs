//! What the command's exit codes mean.

/// The exit codes of `ropewalk`; clap itself exits with 2 on bad usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Everything asked for was done.
    Success,
    /// Something failed, or the books did not balance.
    Failure,
    /// The arguments make no sense together.
    Usage,
    /// Ctrl-C ended the run; what was finished was kept.
    Interrupted,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(match code {
            ExitCode::Success => 0,
            ExitCode::Failure => 1,
            ExitCode::Usage => 2,
            ExitCode::Interrupted => 130,
        })
    }
}
