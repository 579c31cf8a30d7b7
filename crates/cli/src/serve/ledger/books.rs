//! The books on the disk: an SQLite database in double entry.
//!
//! | table    | holds                                                                           |
//! |----------|---------------------------------------------------------------------------------|
//! | accounts | the balance of each account; never below 0 (a CHECK says so)                     |
//! | payments | each payment by its key, with the balances that were answered, for retries       |
//! | entries  | two rows per payment that add up to 0: what each account lost and gained          |
//! | meta     | the opening balance, so that the sum of all money can be checked                 |
//!
//! Anyone can check them with the `sqlite3` shell, also while the service runs. Durable means WAL
//! with `synchronous=FULL`: a commit returns after the log is synced.
//!
//! Why it is fast: decisions are made on balances in memory (checked against `data_version`, so a
//! writer from outside is noticed); an account that a group touched is written once, at the end;
//! `payments` has no rowid, so its key is one B-tree and not two; `entries` only ever grows at its
//! end.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Statement, params};

use super::error::LedgerError;
use crate::serve::payment::{Outcome, Payment};

/// How long to wait for another program that holds the database's lock.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// The log is copied into the database when it has so many pages (16 MB). SQLite's 1,000 made 47,000
/// payments/s of 320 in a group here, 4,000 make 55,000; a larger log costs more at each restart.
const CHECKPOINT_PAGES: u32 = 4000;

/// The layout of the tables; a database with another one is refused.
const LAYOUT: i64 = 1;

/// The tables; see the module's table for what each is for.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS accounts(
        id INTEGER PRIMARY KEY,
        balance INTEGER NOT NULL CHECK(balance >= 0));
    CREATE TABLE IF NOT EXISTS payments(
        key TEXT PRIMARY KEY,
        payer INTEGER NOT NULL,
        payee INTEGER NOT NULL,
        cents INTEGER NOT NULL,
        payer_balance INTEGER NOT NULL,
        payee_balance INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS entries(
        id INTEGER PRIMARY KEY,
        payment TEXT NOT NULL,
        account INTEGER NOT NULL,
        cents INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS meta(
        name TEXT PRIMARY KEY,
        value) WITHOUT ROWID;";

/// What a new database starts with. An existing one is continued as it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Opening {
    /// Accounts 1 to this number are created.
    pub(in crate::serve) accounts: u32,
    /// With so much on each, in cents.
    pub(in crate::serve) balance: i64,
}

/// Opens or creates the database and returns it with the balances of accounts 1, 2, 3 and so on.
pub(super) fn open(path: &Path, opening: Opening) -> Result<(Connection, Vec<i64>), LedgerError> {
    let connection = connect(path).map_err(|error| LedgerError::Open(path.into(), error))?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|error| LedgerError::Open(path.into(), error))?;
    if mode != "wal" {
        return Err(LedgerError::NoWal(path.into()));
    }
    let balances = create(&connection, opening)
        .and_then(|()| load(&connection))
        .map_err(|error| LedgerError::Open(path.into(), error))?;
    let layout: Option<i64> = connection
        .query_row("SELECT value FROM meta WHERE name = 'layout'", [], |row| row.get(0))
        .optional()
        .map_err(|error| LedgerError::Open(path.into(), error))?;
    match (layout, balances) {
        (Some(LAYOUT), Some(balances)) => Ok((connection, balances)),
        _ => Err(LedgerError::Foreign(path.into())),
    }
}

/// Opens the file with the settings that make it durable and fast.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // One thread uses the connection: SQLite's own locking around each call is not needed.
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    // Statement journals in memory: no file has to be opened while the service runs, so running
    // out of descriptors cannot stop the ledger.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Creates tables and accounts that are not there, all in one transaction.
fn create(connection: &Connection, opening: Opening) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(SCHEMA)?;
    let empty: bool =
        transaction.query_row("SELECT NOT EXISTS(SELECT 1 FROM accounts)", [], |row| row.get(0))?;
    if empty {
        transaction.execute(
            "WITH RECURSIVE numbers(id) AS
                (VALUES(1) UNION ALL SELECT id + 1 FROM numbers WHERE id < ?1)
             INSERT INTO accounts SELECT id, ?2 FROM numbers",
            params![opening.accounts, opening.balance],
        )?;
        transaction.execute(
            "INSERT OR REPLACE INTO meta VALUES('layout', ?1), ('opening_balance', ?2)",
            params![LAYOUT, opening.balance],
        )?;
    }
    transaction.commit()
}

/// The balances of all accounts; nothing when they are not numbered 1, 2, 3 and so on.
fn load(connection: &Connection) -> rusqlite::Result<Option<Vec<i64>>> {
    let mut statement = connection.prepare("SELECT id, balance FROM accounts ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut balances = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, balance): (i64, i64) = (row.get(0)?, row.get(1)?);
        if index(id) != Some(balances.len()) {
            return Ok(None);
        }
        balances.push(balance);
    }
    Ok(Some(balances))
}

/// Where account `id` stands in the balances.
pub(super) fn index(id: i64) -> Option<usize> {
    usize::try_from(id.checked_sub(1)?).ok()
}

/// Writes groups of payments. Lives on the ledger thread.
pub(super) struct Clerk<'c> {
    connection: &'c Connection,
    statements: Statements<'c>,
    /// The balances as of the group being written.
    balances: Vec<i64>,
    /// What the group changed, as indices of `balances`; holds repeats until it is written.
    touched: Vec<usize>,
    /// SQLite's counter of commits by others, as last seen.
    data_version: i64,
}

/// Prepared once: parsing SQL would cost more than running it.
struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    data_version: Statement<'c>,
    find: Statement<'c>,
    insert_payment: Statement<'c>,
    insert_entries: Statement<'c>,
    set_balance: Statement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            data_version: connection.prepare("PRAGMA data_version")?,
            find: connection.prepare(
                "SELECT payer, payee, cents, payer_balance, payee_balance
                 FROM payments WHERE key = ?1",
            )?,
            insert_payment: connection
                .prepare("INSERT INTO payments VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING")?,
            insert_entries: connection.prepare(
                "INSERT INTO entries(payment, account, cents)
                 VALUES(?1, ?2, -?4), (?1, ?3, ?4)",
            )?,
            set_balance: connection.prepare("UPDATE accounts SET balance = ?2 WHERE id = ?1")?,
        })
    }
}

impl<'c> Clerk<'c> {
    /// A clerk for an open database whose balances are `balances`.
    pub(super) fn new(connection: &'c Connection, balances: Vec<i64>) -> rusqlite::Result<Self> {
        let mut statements = Statements::prepare(connection)?;
        let data_version = statements.data_version.query_row([], |row| row.get(0))?;
        Ok(Self { connection, statements, balances, touched: Vec::new(), data_version })
    }

    /// Decides and commits a group: one outcome per payment, in order. When this returns `Ok` the
    /// group is on the disk, and `publish` has been called with each changed account (by index)
    /// and its new balance.
    ///
    /// # Errors
    /// Nothing of the group is stored, and the next group can be written.
    pub(super) fn settle<'p>(
        &mut self,
        payments: impl Iterator<Item = &'p Payment>,
        outcomes: &mut Vec<Outcome>,
        mut publish: impl FnMut(usize, i64),
    ) -> rusqlite::Result<usize> {
        let stored = match self.write(payments, outcomes) {
            Ok(stored) => stored,
            Err(error) => {
                self.undo();
                return Err(error);
            }
        };
        for account in self.touched.drain(..) {
            publish(account, self.balances[account]);
        }
        Ok(stored)
    }

    /// The group's transaction. Returns how many payments were stored.
    fn write<'p>(
        &mut self,
        payments: impl Iterator<Item = &'p Payment>,
        outcomes: &mut Vec<Outcome>,
    ) -> rusqlite::Result<usize> {
        self.statements.begin.execute([])?;
        let version = self.statements.data_version.query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.reload()?;
            self.data_version = version;
        }
        let mut stored = 0;
        for payment in payments {
            let (outcome, new) = self.decide(payment)?;
            outcomes.push(outcome);
            stored += usize::from(new);
        }
        // In the order of the tree: neighbours share pages. Each account once.
        self.touched.sort_unstable();
        self.touched.dedup();
        for &account in &self.touched {
            let row = params![account as i64 + 1, self.balances[account]];
            if self.statements.set_balance.execute(row)? != 1 {
                return Err(rusqlite::Error::QueryReturnedNoRows);
            }
        }
        self.statements.commit.execute([])?;
        Ok(stored)
    }

    /// Decides one payment, and stores it if it can be done; true when it was.
    fn decide(&mut self, payment: &Payment) -> rusqlite::Result<(Outcome, bool)> {
        let known = |id: i64| index(id).filter(|&index| index < self.balances.len());
        let (Some(payer), Some(payee)) = (known(payment.payer), known(payment.payee)) else {
            let unknown = if known(payment.payer).is_none() { payment.payer } else { payment.payee };
            return Ok((self.earlier(payment)?.unwrap_or(Outcome::UnknownAccount(unknown)), false));
        };
        let payer_balance = self.balances[payer] - payment.cents;
        // All money together fits an i64, so this only overflows for amounts nobody has.
        let payee_balance = self.balances[payee].saturating_add(payment.cents);
        if payer_balance < 0 {
            // A retry gets its first answer also when the money has gone since.
            return Ok((self.earlier(payment)?.unwrap_or(Outcome::InsufficientFunds), false));
        }
        let new = self.statements.insert_payment.execute(params![
            payment.key,
            payment.payer,
            payment.payee,
            payment.cents,
            payer_balance,
            payee_balance
        ])? == 1;
        if !new {
            return Ok((self.earlier(payment)?.unwrap_or(Outcome::KeyReused), false));
        }
        self.statements.insert_entries.execute(params![
            payment.key,
            payment.payer,
            payment.payee,
            payment.cents
        ])?;
        self.balances[payer] = payer_balance;
        self.balances[payee] = payee_balance;
        self.touched.extend([payer, payee]);
        Ok((Outcome::Paid { payer_balance, payee_balance }, true))
    }

    /// What was answered to this key before, if it is known.
    fn earlier(&mut self, payment: &Payment) -> rusqlite::Result<Option<Outcome>> {
        self.statements
            .find
            .query_row([&payment.key], |row| {
                let same = row.get::<_, i64>(0)? == payment.payer
                    && row.get::<_, i64>(1)? == payment.payee
                    && row.get::<_, i64>(2)? == payment.cents;
                Ok(if same {
                    Outcome::Paid { payer_balance: row.get(3)?, payee_balance: row.get(4)? }
                } else {
                    Outcome::KeyReused
                })
            })
            .optional()
    }

    /// Takes over what another program wrote. Accounts that it added are seen after a restart.
    fn reload(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare("SELECT id, balance FROM accounts")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, balance): (i64, i64) = (row.get(0)?, row.get(1)?);
            let Some(account) = index(id).filter(|&account| account < self.balances.len()) else {
                continue;
            };
            if self.balances[account] != balance {
                self.balances[account] = balance;
                self.touched.push(account);
            }
        }
        Ok(())
    }

    /// Ends a failed group's transaction, if SQLite has not done so itself, and takes its changes
    /// back out of the balances.
    #[cold]
    fn undo(&mut self) {
        self.touched.clear();
        if !self.connection.is_autocommit() {
            // When this fails, too, the next BEGIN says so, and its group gets the error.
            let _ = self.statements.rollback.execute([]);
        }
        // The next group finds another version and reads the balances from the disk.
        self.data_version = -1;
    }
}
