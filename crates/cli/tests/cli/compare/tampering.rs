//! Someone puts a hand into the till during the run: the comparison must notice.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::support::{ropewalk, until};

/// The database of the cell that runs now.
fn database(directory: &Path) -> Option<PathBuf> {
    let cell = std::fs::read_dir(directory).ok()?.flatten().next()?;
    Some(cell.path().join("ledger.db")).filter(|path| path.exists())
}

/// Runs a cell and changes its database with `sql` while the users pay.
fn tampered(sql: &str) -> crate::support::Ended {
    let databases = tempfile::tempdir().unwrap();
    let run = ropewalk(&format!(
        "compare --plans std --users 5 --rounds 1 --warmup 2 --payments 200 --dir {}",
        databases.path().display()
    ));
    run.wait_for_child("load");
    let path = until("the database", || database(databases.path()));
    let connection = Connection::open(path).unwrap();
    until("the change", || connection.execute_batch(sql).ok());
    drop(connection);
    run.end()
}

#[test]
fn a_cent_too_many_is_found() {
    let ended = tampered("UPDATE accounts SET balance = balance + 1 WHERE id = 7");
    ended.assert_code(1).assert_says("BOOKS WRONG").assert_says("do NOT balance");
    ended.assert_says("the accounts hold 1000000.01 in all and should hold 1000000.00");
    assert_eq!(
        ended.last_line(),
        "In short: the books of 5 users under std do not balance; nothing else counts."
    );
}

#[test]
fn a_payment_that_nobody_sent_is_found() {
    let ended = tampered(
        "BEGIN IMMEDIATE;
         INSERT INTO payments VALUES ('forged', 1, 2, 1, 0, 0);
         INSERT INTO entries (payment, account, cents) VALUES ('forged', 1, -1), ('forged', 2, 1);
         UPDATE accounts SET balance = balance - 1 WHERE id = 1;
         UPDATE accounts SET balance = balance + 1 WHERE id = 2;
         COMMIT;",
    );
    ended.assert_code(1).assert_says("nobody sent payment forged");
}

#[test]
fn an_acknowledged_payment_that_vanishes_is_found() {
    let ended = tampered(
        "CREATE TRIGGER thief AFTER INSERT ON payments WHEN new.cents = 77
         BEGIN DELETE FROM payments WHERE key = new.key; END;",
    );
    ended.assert_code(1).assert_says("was acknowledged and is lost");
}
