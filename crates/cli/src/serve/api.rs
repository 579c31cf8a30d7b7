//! The service's paths: what each request means and what is answered.
//!
//! | request             | answers                                                                 |
//! |---------------------|-------------------------------------------------------------------------|
//! | `POST /payments`    | 200 both balances; 400, 401, 404 unknown account, 409 insufficient funds, 422 key reused, 503 |
//! | `GET /accounts/ID`  | 200 the balance; 404                                                    |
//! | `GET /health`       | 200                                                                     |
//! | `GET /stats`        | 200 counters of the processes that serve, and of the ledger's           |
//! | `GET /processes`    | 200 the process control block of each process of the service            |

use super::http::{Method, Refusal, Status};
use super::ledger::{Ledger, Reply, Request};
use super::payment::{Outcome, Payment};
use super::service::Service;
use super::statistics::Statistics;
use crate::block::Block;

/// The header of a 503: what is short may be there again soon.
pub(super) const RETRY_AFTER: &str = "Retry-After: 1\r\n";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A payment.
    Pay,
    /// The balance of an account.
    Account(i64),
    /// Whether the service runs.
    Health,
    /// What it has used.
    Statistics,
    /// The processes that it consists of.
    Processes,
}

/// What is answered with 200.
#[derive(Debug)]
pub(super) enum Answer {
    /// A payment was made.
    Paid(PaidPayment),
    /// An account's balance.
    Balance { account: i64, balance: i64 },
    /// The service runs.
    Health { plan: &'static str, accounts: u64 },
    /// What it has used.
    Statistics(Box<Statistics>),
    /// The processes that it consists of.
    Processes(Vec<Block>),
}

/// A payment as it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaidPayment {
    payer: i64,
    payee: i64,
    payer_balance: i64,
    payee_balance: i64,
}

impl Route {
    /// Finds what `method` and `path` mean.
    ///
    /// # Errors
    /// 404 for paths that are not there, 405 for methods that a path does not have.
    pub(super) fn find(method: Method, path: &[u8]) -> Result<Self, Refusal> {
        let (route, allowed) = match path {
            b"/payments" => (Self::Pay, "Allow: POST\r\n"),
            b"/health" => (Self::Health, "Allow: GET, HEAD\r\n"),
            b"/stats" => (Self::Statistics, "Allow: GET, HEAD\r\n"),
            b"/processes" => (Self::Processes, "Allow: GET, HEAD\r\n"),
            _ => (Self::Account(account(path)?), "Allow: GET, HEAD\r\n"),
        };
        let fits = match route {
            Self::Pay => method == Method::Post,
            _ => matches!(method, Method::Get | Method::Head),
        };
        if fits {
            return Ok(route);
        }
        let message = "this path has other methods: see the header `Allow`";
        Err(Refusal::new(Status::METHOD_NOT_ALLOWED, message).with_headers(allowed))
    }
}

/// The number in `/accounts/7`.
fn account(path: &[u8]) -> Result<i64, Refusal> {
    let not_found = || {
        let message =
            "no such path: use POST /payments, GET /accounts/1, GET /health, GET /stats, GET /processes";
        Refusal::new(Status::NOT_FOUND, message)
    };
    let number = path.strip_prefix(b"/accounts/").ok_or_else(not_found)?;
    std::str::from_utf8(number)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Refusal::new(Status::NOT_FOUND, "accounts are numbers from 1"))
}

/// Does what a request asks for.
///
/// # Errors
/// The refusal to be answered; the connection can go on.
///
/// # Waits
/// A payment, for its commit.
pub(super) fn answer<L: Ledger>(
    service: &Service<L>,
    slot: &L::Slot,
    route: Route,
    signature: Option<&[u8]>,
    body: &[u8],
) -> Result<Answer, Refusal> {
    match route {
        Route::Pay => pay(service, slot, signature, body),
        Route::Account(account) => match service.ledger.ask(&Request::Balance(account), slot) {
            Reply::Balance(Some(balance)) => Ok(Answer::Balance { account, balance }),
            Reply::Balance(None) => Err(unknown_account(account)),
            _ => Err(ledger_gone()),
        },
        Route::Health => {
            Ok(Answer::Health { plan: service.terms.plan.as_str(), accounts: service.terms.accounts })
        }
        Route::Statistics => {
            service.ledger.tell(service.counts.report());
            let Reply::State(ledger) = service.ledger.ask(&Request::State, slot) else {
                return Err(ledger_gone());
            };
            Statistics::collect(&service.terms.family, &ledger)
                .map(|statistics| Answer::Statistics(Box::new(statistics)))
                .map_err(|error| Refusal::new(Status::UNAVAILABLE, format!("no statistics: {error}")))
        }
        Route::Processes => Ok(Answer::Processes(service.terms.family.blocks())),
    }
}

/// `POST /payments`.
fn pay<L: Ledger>(
    service: &Service<L>,
    slot: &L::Slot,
    signature: Option<&[u8]>,
    body: &[u8],
) -> Result<Answer, Refusal> {
    if let Some(signatures) = &service.terms.signatures {
        signatures.check(signature, body).map_err(|message| {
            Refusal::new(Status::UNAUTHORIZED, message).with_headers("WWW-Authenticate: Signature\r\n")
        })?;
    }
    let payment = Payment::from_json(body).map_err(|message| Refusal::new(Status::BAD_REQUEST, message))?;
    let (payer, payee) = (payment.payer, payment.payee);
    let outcome = match service.ledger.ask(&Request::Pay(payment), slot) {
        Reply::Outcome(outcome) => outcome,
        _ => return Err(ledger_gone()),
    };
    match outcome {
        Outcome::Paid { payer_balance, payee_balance } => {
            Ok(Answer::Paid(PaidPayment { payer, payee, payer_balance, payee_balance }))
        }
        Outcome::InsufficientFunds => Err(Refusal::new(
            Status::CONFLICT,
            "insufficient funds; nothing was stored, so the same id can be tried again",
        )),
        Outcome::KeyReused => Err(Refusal::new(
            Status::UNPROCESSABLE,
            "this id belongs to another payment; choose a new id for each payment",
        )),
        Outcome::UnknownAccount(account) => Err(unknown_account(account)),
        Outcome::Unavailable => Err(Refusal::new(
            Status::UNAVAILABLE,
            "the ledger cannot write now; nothing was stored, try the same id again later",
        )
        .with_headers(RETRY_AFTER)),
    }
}

/// The ledger's process has ended.
fn ledger_gone() -> Refusal {
    let message = "the ledger has ended; whether the payment was stored is not known: try the same id again later, \
                   and it is made once";
    Refusal::new(Status::UNAVAILABLE, message).with_headers(RETRY_AFTER)
}

/// A 404.
fn unknown_account(account: i64) -> Refusal {
    Refusal::new(Status::NOT_FOUND, format!("there is no account {account}"))
}

impl Answer {
    /// Appends the answer as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Paid(payment) => {
                write_parts(
                    out,
                    [
                        (br#"{"from":"#, payment.payer),
                        (br#","from_balance":"#, payment.payer_balance),
                        (br#","to":"#, payment.payee),
                        (br#","to_balance":"#, payment.payee_balance),
                    ],
                );
                out.extend_from_slice(b"}\n");
            }
            Self::Balance { account, balance } => {
                write_parts(out, [(br#"{"id":"#, *account), (br#","balance":"#, *balance)]);
                out.extend_from_slice(b"}\n");
            }
            Self::Health { plan, accounts } => {
                out.extend_from_slice(br#"{"status":"ok","plan":""#);
                out.extend_from_slice(plan.as_bytes());
                out.extend_from_slice(br#"","accounts":"#);
                out.extend_from_slice(itoa::Buffer::new().format(*accounts).as_bytes());
                out.extend_from_slice(b"}\n");
            }
            Self::Statistics(statistics) => write_json(out, statistics),
            Self::Processes(blocks) => write_json(out, blocks),
        }
    }
}

/// Appends pairs of text and number.
fn write_parts<const N: usize>(out: &mut Vec<u8>, parts: [(&[u8], i64); N]) {
    for (text, number) in parts {
        out.extend_from_slice(text);
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// Appends a refusal's body.
pub(super) fn write_refusal(refusal: &Refusal, out: &mut Vec<u8>) {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        error: &'a str,
    }
    write_json(out, &Body { error: &refusal.message });
}

/// Appends JSON and a line end.
fn write_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Writing plain structs to memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::{Method, Route};

    #[test]
    fn paths_and_methods_are_told_apart() {
        let find = |method, path: &str| {
            Route::find(method, path.as_bytes()).map_err(|refusal| refusal.status.text())
        };
        assert_eq!(find(Method::Post, "/payments"), Ok(Route::Pay));
        assert_eq!(find(Method::Get, "/accounts/7"), Ok(Route::Account(7)));
        assert_eq!(find(Method::Head, "/health"), Ok(Route::Health));
        assert_eq!(find(Method::Get, "/stats"), Ok(Route::Statistics));
        assert_eq!(find(Method::Get, "/processes"), Ok(Route::Processes));
        for path in [
            "",
            "/",
            "*",
            "/payments/",
            "/accounts",
            "/accounts/",
            "/accounts/x",
            "/accounts/-1",
            "/accounts/99999999999999999999",
            "/accounts/7/x",
        ] {
            assert_eq!(find(Method::Get, path), Err("404 Not Found"), "{path}");
        }
        for (method, path) in [
            (Method::Get, "/payments"),
            (Method::Head, "/payments"),
            (Method::Other, "/payments"),
            (Method::Post, "/accounts/7"),
            (Method::Post, "/health"),
            (Method::Other, "/stats"),
        ] {
            assert_eq!(find(method, path), Err("405 Method Not Allowed"), "{path}");
        }
    }
}
