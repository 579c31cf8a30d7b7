//! The books: is the ledger right, and does it say what the users were told?
//!
//! The database is read after the server has ended, with SQLite alone: none of the server's code takes part. The
//! history of every account is played again in the order in which the payments were committed, so a wrong balance,
//! an overdraft, a doubled or invented payment and an unjustified refusal all come to light.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use crate::load::journal::Entry;
use crate::load::payments::{Bank, Payment};

/// What the books say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Books {
    /// Payments in the ledger.
    pub(crate) committed: u64,
    /// Payments that a user was told are done.
    pub(crate) acknowledged: u64,
    /// Payments refused for lack of funds.
    pub(crate) refused: u64,
    /// Payments without an answer that are in the ledger: allowed, for nobody was told anything.
    pub(crate) unanswered_committed: u64,
    /// Payments without an answer that are not in the ledger: allowed too.
    pub(crate) unanswered_absent: u64,
    /// What is wrong, in words; at most [`FAULTS_SHOWN`] of each kind.
    pub(crate) faults: Vec<String>,
    /// How many faults there are in all.
    pub(crate) fault_count: u64,
    /// How many of each kind were spelled out.
    #[serde(skip)]
    shown: HashMap<Fault, usize>,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    Accounts,
    Money,
    Balance,
    StrayEntry,
    Entries,
    Overdraft,
    ReportedBalance,
    Altered,
    Doubled,
    Lost,
    StoredThoughRefused,
    RefusedWithoutReason,
    Invented,
}

/// So many faults of a kind are spelled out; more would bury the other kinds.
const FAULTS_SHOWN: usize = 3;

impl Books {
    /// Whether nothing is wrong.
    pub(crate) fn balance(&self) -> bool {
        self.fault_count == 0
    }

    /// Books in which so many payments were made and refused, for tests of what is computed from them.
    #[cfg(test)]
    pub(crate) fn balanced(committed: u64, refused: u64) -> Self {
        Self { committed, acknowledged: committed, refused, ..Self::default() }
    }

    fn fault(&mut self, kind: Fault, what: String) {
        self.fault_count += 1;
        let shown = self.shown.entry(kind).or_default();
        if *shown < FAULTS_SHOWN {
            *shown += 1;
            self.faults.push(what);
        }
    }
}

impl fmt::Display for Books {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.balance() {
            return formatter.pad("balanced");
        }
        write!(formatter, "{} faults: {}", self.fault_count, self.faults.join("; "))
    }
}

/// Holds the ledger in `database` against the users' journal.
///
/// # Errors
/// When the database cannot be read at all. Whatever is wrong *in* it is a fault in the books, not an error.
pub(crate) fn check(database: &Path, bank: Bank, journal: &[Entry]) -> Result<Books, BooksError> {
    let ledger = Ledger::read(database)
        .map_err(|error| BooksError { database: database.display().to_string(), error })?;
    let mut books = Books { committed: ledger.payments.len() as u64, ..Books::default() };
    check_money(&ledger, bank, &mut books);
    let lowest = check_history(&ledger, bank, &mut books);
    check_journal(&ledger, bank, journal, &lowest, &mut books);
    Ok(books)
}

/// The database could not be read.
#[derive(Debug)]
pub(crate) struct BooksError {
    database: String,
    error: rusqlite::Error,
}

impl fmt::Display for BooksError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot read the ledger in {}: {}", self.database, self.error)
    }
}

impl std::error::Error for BooksError {}

/// One row of `payments`.
struct Committed {
    key: String,
    payment: Payment,
    payer_balance: i64,
    payee_balance: i64,
}

/// One row of `entries`.
struct Posting {
    payment: String,
    account: u32,
    cents: i64,
}

/// All that the database holds.
struct Ledger {
    accounts: HashMap<u32, i64>,
    /// In the order in which they were committed.
    payments: Vec<Committed>,
    postings: Vec<Posting>,
}

impl Ledger {
    fn read(database: &Path) -> rusqlite::Result<Self> {
        // Not read-only: after a server that was killed, SQLite has to bring the write-ahead log in first.
        let connection = Connection::open_with_flags(
            database,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        let accounts = connection
            .prepare("SELECT id, balance FROM accounts")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut payments: Vec<Committed> = connection
            .prepare("SELECT key, payer, payee, cents, payer_balance, payee_balance FROM payments")?
            .query_map([], |row| {
                Ok(Committed {
                    key: row.get(0)?,
                    payment: Payment { from: row.get(1)?, to: row.get(2)?, cents: row.get(3)? },
                    payer_balance: row.get(4)?,
                    payee_balance: row.get(5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let postings: Vec<Posting> = connection
            .prepare("SELECT payment, account, cents FROM entries ORDER BY id")?
            .query_map([], |row| {
                Ok(Posting { payment: row.get(0)?, account: row.get(1)?, cents: row.get(2)? })
            })?
            .collect::<rusqlite::Result<_>>()?;
        // `payments` is ordered by key; only the entries tell in which order the payments were committed.
        let mut first_posting = HashMap::with_capacity(payments.len());
        for (position, posting) in postings.iter().enumerate() {
            first_posting.entry(posting.payment.as_str()).or_insert(position);
        }
        payments.sort_by_key(|committed| {
            first_posting.get(committed.key.as_str()).copied().unwrap_or(usize::MAX)
        });
        Ok(Self { accounts, payments, postings })
    }
}

/// No cent was made or lost, and every balance is explained by the entries of its account.
fn check_money(ledger: &Ledger, bank: Bank, books: &mut Books) {
    if ledger.accounts.len() != bank.accounts as usize {
        books.fault(
            Fault::Accounts,
            format!("{} accounts were opened and {} are there", bank.accounts, ledger.accounts.len()),
        );
    }
    let money: i64 = ledger.accounts.values().sum();
    if money != bank.money_cents() {
        books.fault(
            Fault::Money,
            format!(
                "the accounts hold {} in all and should hold {}",
                Money(money),
                Money(bank.money_cents())
            ),
        );
    }
    let mut explained: HashMap<u32, i64> = HashMap::with_capacity(ledger.accounts.len());
    for posting in &ledger.postings {
        *explained.entry(posting.account).or_default() += posting.cents;
    }
    for (account, &balance) in &ledger.accounts {
        let expected = bank.opening_cents + explained.remove(account).unwrap_or(0);
        if balance != expected {
            books.fault(
                Fault::Balance,
                format!("account {account} holds {} and its entries say {}", Money(balance), Money(expected)),
            );
        }
    }
    for account in explained.keys() {
        books.fault(
            Fault::StrayEntry,
            format!("there are entries for account {account}, which does not exist"),
        );
    }
}

/// Every payment has its two entries and the balances that it left behind; no account was ever below zero. Returns
/// the least that each account held at any time.
fn check_history(ledger: &Ledger, bank: Bank, books: &mut Books) -> HashMap<u32, i64> {
    let mut entries: HashMap<&str, Vec<(u32, i64)>> = HashMap::with_capacity(ledger.payments.len());
    for posting in &ledger.postings {
        entries.entry(&posting.payment).or_default().push((posting.account, posting.cents));
    }
    let mut balances: HashMap<u32, i64> = HashMap::new();
    let mut lowest: HashMap<u32, i64> = HashMap::new();
    for committed in &ledger.payments {
        let Payment { from, to, cents } = committed.payment;
        let mut found = entries.remove(committed.key.as_str()).unwrap_or_default();
        found.sort_unstable_by_key(|&(_, cents)| cents);
        if found != [(from, -cents), (to, cents)] {
            books.fault(
                Fault::Entries,
                format!(
                    "payment {} of {} from {from} to {to} has the entries {found:?}",
                    committed.key,
                    Money(cents)
                ),
            );
        }
        let payer = balances.entry(from).or_insert(bank.opening_cents);
        *payer -= cents;
        let payer = *payer;
        let low = lowest.entry(from).or_insert(bank.opening_cents);
        *low = payer.min(*low);
        let payee = balances.entry(to).or_insert(bank.opening_cents);
        *payee += cents;
        let payee = *payee;
        if payer < 0 {
            books.fault(
                Fault::Overdraft,
                format!("payment {} left account {from} with {}", committed.key, Money(payer)),
            );
        }
        if (committed.payer_balance, committed.payee_balance) != (payer, payee) {
            books.fault(
                Fault::ReportedBalance,
                format!(
                    "payment {} reported the balances {} and {}; they were {} and {}",
                    committed.key,
                    Money(committed.payer_balance),
                    Money(committed.payee_balance),
                    Money(payer),
                    Money(payee)
                ),
            );
        }
    }
    for (payment, found) in entries {
        books.fault(Fault::StrayEntry, format!("the entries {found:?} belong to no payment ({payment})"));
    }
    lowest
}

/// The ledger holds what the users sent, each acknowledged payment once, and nothing that was refused.
fn check_journal(
    ledger: &Ledger,
    bank: Bank,
    journal: &[Entry],
    lowest: &HashMap<u32, i64>,
    books: &mut Books,
) {
    let mut committed: HashMap<&str, (Payment, u32)> = HashMap::with_capacity(ledger.payments.len());
    for row in &ledger.payments {
        committed.entry(&row.key).or_insert((row.payment, 0)).1 += 1;
    }
    for entry in journal {
        let stored = committed.remove(entry.key.as_str());
        if let Some((payment, times)) = stored {
            if payment != entry.payment {
                books.fault(
                    Fault::Altered,
                    format!(
                        "payment {} was sent as {:?} and stored as {payment:?}",
                        entry.key, entry.payment
                    ),
                );
            }
            if times > 1 {
                books.fault(Fault::Doubled, format!("payment {} is stored {times} times", entry.key));
            }
        }
        let is_stored = stored.is_some();
        match entry.status {
            Some(200) => {
                books.acknowledged += 1;
                if !is_stored {
                    books.fault(Fault::Lost, format!("payment {} was acknowledged and is lost", entry.key));
                }
            }
            // The server failed in between and promised nothing: as good as no answer.
            None | Some(500..) if is_stored => books.unanswered_committed += 1,
            None | Some(500..) => books.unanswered_absent += 1,
            Some(status) => {
                if is_stored {
                    books.fault(
                        Fault::StoredThoughRefused,
                        format!("payment {} was answered with {status} and is stored", entry.key),
                    );
                }
                if status == 409 {
                    books.refused += 1;
                    let least = lowest.get(&entry.payment.from).copied();
                    if entry.payment.cents <= least.unwrap_or(bank.opening_cents) {
                        books.fault(
                            Fault::RefusedWithoutReason,
                            format!(
                                "payment {} of {} was refused, but account {} never held less than {}",
                                entry.key,
                                Money(entry.payment.cents),
                                entry.payment.from,
                                Money(least.unwrap_or(bank.opening_cents))
                            ),
                        );
                    }
                }
            }
        }
    }
    for (key, (payment, _)) in committed {
        books.fault(Fault::Invented, format!("nobody sent payment {key} ({payment:?})"));
    }
}

/// Cents as an amount of money.
struct Money(i64);

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(formatter, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests;
