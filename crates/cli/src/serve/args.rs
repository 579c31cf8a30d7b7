//! The flags of `ropewalk serve`.

use std::path::PathBuf;
use std::time::Duration;

use super::plan::PlanName;
use super::signatures::PublicKey;
use crate::size::Size;

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk serve --database books.db
  curl -d '{\"id\":\"a1\",\"from\":1,\"to\":2,\"cents\":250}' 127.0.0.1:8080/payments
  ropewalk serve --database books.db --plan thread --thread-stack 256K
  ropewalk serve --database books.db --log json --log-level info

Exit codes:
  0    ended by SIGTERM or Ctrl-C, in good order
  1    something failed: the address, the database, a limit
  2    wrong usage
  130  a second Ctrl-C (143: a second SIGTERM): nothing more was waited for";

/// Serve payments over HTTP, with one task per connection under a plan of your choice
///
/// POST /payments {"id":"a1","from":1,"to":2,"cents":250} moves money, once per id; GET /accounts/1,
/// GET /health, GET /stats and GET /processes read. The books are kept by a process of their own. Prints `listening on ADDRESS` when it is ready. SIGTERM and
/// Ctrl-C finish what is in flight; SIGKILL at any moment loses no acknowledged payment.
#[derive(Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// What runs a connection
    #[arg(long, value_enum, default_value_t = PlanName::Coroutine)]
    pub(super) plan: PlanName,

    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: String,

    /// SQLite database with the books; created if it is not there, continued if it is
    #[arg(long, value_name = "FILE")]
    pub(super) database: PathBuf,

    /// Worker threads of the coroutine plan [default: one per CPU], or of each process of process+coroutine
    /// [default: so many that each CPU has one]
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<std::num::NonZeroUsize>,

    /// Processes of the plan process+coroutine that serve connections [default: one per CPU]
    #[arg(long, value_name = "N")]
    pub(super) processes: Option<std::num::NonZeroUsize>,

    /// Stack of each thread in the plans thread and std
    #[arg(long, value_name = "SIZE", default_value = "4M")]
    pub(super) thread_stack: Size,

    /// Limit of the address space of each process that serves, as on a machine with so much memory
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<Size>,

    /// Accounts of a new database, numbered from 1
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) accounts: u32,

    /// What each account of a new database holds
    #[arg(long, value_name = "CENTS", default_value_t = 10_000,
          value_parser = clap::value_parser!(i64).range(0..))]
    pub(super) opening_balance: i64,

    /// Check the header `Signature` of payments (hex Ed25519 over the body) with this key
    #[arg(long, value_name = "PUBLIC_KEY_HEX")]
    pub(super) signatures: Option<PublicKey>,

    /// Refuse payments without a signature
    #[arg(long, requires = "signatures")]
    pub(super) require_signatures: bool,

    /// Largest request line and header
    #[arg(long, value_name = "SIZE", default_value = "8K")]
    pub(super) header_limit: Size,

    /// Largest body
    #[arg(long, value_name = "SIZE", default_value = "64K")]
    pub(super) body_limit: Size,

    /// Seconds for a request to arrive, from its first byte to its last
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(super) request_timeout: Duration,

    /// Seconds that a connection may be idle between requests
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(super) idle_timeout: Duration,

    /// Seconds for requests in flight to finish after SIGTERM or Ctrl-C
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(super) drain_limit: Duration,
}

/// Reads a number of seconds, such as 10 or 0.5.
fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write seconds, such as 10 or 0.5");
    let number: f64 = text.parse().map_err(|_| wrong())?;
    // A timeout of 0 would mean no timeout to the kernel; a year is as good as none.
    if !(0.001..=31_536_000.0).contains(&number) {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(number))
}
