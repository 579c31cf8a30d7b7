//! Crafted ledgers: each kind of imbalance must be found, and a right one must pass.

use std::path::PathBuf;

use super::*;

const BANK: Bank = Bank { accounts: 3, opening_cents: 1_000 };

/// A ledger with two payments (1 -> 2: 300, 2 -> 3: 1,200) and its journal; tests then damage it.
struct Crafted {
    _directory: tempfile::TempDir,
    path: PathBuf,
    journal: Vec<Entry>,
}

fn entry(key: &str, from: u32, to: u32, cents: i64, status: Option<u16>) -> Entry {
    Entry { key: key.to_owned(), payment: Payment { from, to, cents }, status }
}

impl Crafted {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let crafted = Self {
            _directory: directory,
            path,
            journal: vec![
                entry("a", 1, 2, 300, Some(200)),
                entry("b", 2, 3, 1_200, Some(200)),
                entry("greedy", 1, 3, 99_999, Some(409)),
            ],
        };
        Connection::open(&crafted.path)
            .unwrap()
            .execute_batch(
                "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER);
                 CREATE TABLE payments (key TEXT PRIMARY KEY, payer INTEGER, payee INTEGER, cents INTEGER,
                                        payer_balance INTEGER, payee_balance INTEGER);
                 CREATE TABLE entries (id INTEGER PRIMARY KEY, payment TEXT, account INTEGER, cents INTEGER);
                 INSERT INTO accounts VALUES (1, 700), (2, 100), (3, 2200);
                 INSERT INTO payments VALUES ('a', 1, 2, 300, 700, 1300), ('b', 2, 3, 1200, 100, 2200);
                 INSERT INTO entries (payment, account, cents)
                     VALUES ('a', 1, -300), ('a', 2, 300), ('b', 2, -1200), ('b', 3, 1200);",
            )
            .unwrap();
        crafted
    }

    fn damage(self, sql: &str) -> Self {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
        self
    }

    fn books(&self) -> Books {
        check(&self.path, BANK, &self.journal).unwrap()
    }

    fn assert_fault(&self, expected: &str) {
        let books = self.books();
        assert!(!books.balance(), "not found: {expected}");
        assert!(
            books.faults.iter().any(|fault| fault.contains(expected)),
            "expected `{expected}` in {:?}",
            books.faults
        );
    }
}

#[test]
fn right_books_balance() {
    let books = Crafted::new().books();
    assert_eq!(books.faults, Vec::<String>::new());
    assert_eq!((books.committed, books.acknowledged, books.refused), (2, 2, 1));
}

#[test]
fn money_that_appeared_is_found() {
    let crafted = Crafted::new().damage("UPDATE accounts SET balance = balance + 1 WHERE id = 3");
    crafted.assert_fault("the accounts hold 30.01 in all and should hold 30.00");
    crafted.assert_fault("account 3 holds 22.01 and its entries say 22.00");
}

#[test]
fn money_moved_without_an_entry_is_found() {
    Crafted::new()
        .damage("UPDATE accounts SET balance = balance + 5 WHERE id = 3; UPDATE accounts SET balance = balance - 5 WHERE id = 1")
        .assert_fault("account 1 holds 6.95 and its entries say 7.00");
}

#[test]
fn a_missing_account_is_found() {
    Crafted::new()
        .damage("DELETE FROM accounts WHERE id = 1")
        .assert_fault("3 accounts were opened and 2 are there");
}

#[test]
fn a_payment_applied_twice_is_found() {
    Crafted::new()
        .damage("INSERT INTO entries (payment, account, cents) VALUES ('a', 1, -300), ('a', 2, 300)")
        .assert_fault("payment a of 3.00 from 1 to 2 has the entries");
}

#[test]
fn a_payment_stored_twice_is_found() {
    Crafted::new()
        .damage(
            "ALTER TABLE payments RENAME TO old;
             CREATE TABLE payments (key TEXT, payer INTEGER, payee INTEGER, cents INTEGER,
                                    payer_balance INTEGER, payee_balance INTEGER);
             INSERT INTO payments SELECT * FROM old;
             INSERT INTO payments SELECT * FROM old WHERE key = 'a';",
        )
        .assert_fault("payment a is stored 2 times");
}

#[test]
fn half_a_payment_is_found() {
    Crafted::new()
        .damage("DELETE FROM entries WHERE payment = 'b' AND account = 3")
        .assert_fault("payment b of 12.00 from 2 to 3 has the entries [(2, -1200)]");
}

#[test]
fn entries_without_a_payment_are_found() {
    Crafted::new()
        .damage("INSERT INTO entries (payment, account, cents) VALUES ('ghost', 1, -1), ('ghost', 2, 1)")
        .assert_fault("belong to no payment (ghost)");
}

#[test]
fn entries_of_an_unknown_account_are_found() {
    Crafted::new()
        .damage("UPDATE entries SET account = 77 WHERE payment = 'a' AND account = 2")
        .assert_fault("account 77, which does not exist");
}

#[test]
fn an_overdraft_is_found() {
    let mut crafted = Crafted::new().damage(
        "INSERT INTO payments VALUES ('c', 2, 1, 200, -100, 900);
         INSERT INTO entries (payment, account, cents) VALUES ('c', 2, -200), ('c', 1, 200);
         UPDATE accounts SET balance = -100 WHERE id = 2; UPDATE accounts SET balance = 900 WHERE id = 1;",
    );
    crafted.journal.push(entry("c", 2, 1, 200, Some(200)));
    crafted.assert_fault("payment c left account 2 with -1.00");
}

#[test]
fn a_wrong_reported_balance_is_found() {
    Crafted::new()
        .damage("UPDATE payments SET payee_balance = 1301 WHERE key = 'a'")
        .assert_fault("payment a reported the balances 7.00 and 13.01; they were 7.00 and 13.00");
}

#[test]
fn an_acknowledged_payment_that_is_lost_is_found() {
    let mut crafted = Crafted::new();
    crafted.journal.push(entry("z", 1, 2, 5, Some(200)));
    crafted.assert_fault("payment z was acknowledged and is lost");
}

#[test]
fn a_payment_that_nobody_sent_is_found() {
    let mut crafted = Crafted::new();
    crafted.journal.remove(0);
    crafted.assert_fault("nobody sent payment a");
}

#[test]
fn a_payment_stored_otherwise_than_sent_is_found() {
    let mut crafted = Crafted::new();
    crafted.journal[0].payment.cents = 299;
    crafted.assert_fault("payment a was sent as");
}

#[test]
fn a_refused_payment_that_is_stored_is_found() {
    let mut crafted = Crafted::new();
    crafted.journal[1].status = Some(409);
    crafted.assert_fault("payment b was answered with 409 and is stored");
}

#[test]
fn a_refusal_without_a_reason_is_found() {
    let mut crafted = Crafted::new();
    crafted.journal.push(entry("poor", 1, 2, 700, Some(409)));
    crafted.assert_fault("payment poor of 7.00 was refused, but account 1 never held less than 7.00");
    // One cent more and there was a moment at which the account could not pay.
    crafted.journal.last_mut().unwrap().payment.cents = 701;
    assert!(crafted.books().balance(), "{:?}", crafted.books().faults);
}

#[test]
fn payments_without_an_answer_may_be_there_or_not() {
    let mut crafted = Crafted::new();
    crafted.journal[1].status = None;
    crafted.journal.push(entry("y", 1, 2, 5, None));
    let books = crafted.books();
    assert!(books.balance(), "{:?}", books.faults);
    assert_eq!((books.unanswered_committed, books.unanswered_absent), (1, 1));
}

#[test]
fn a_payment_answered_with_an_error_must_not_be_stored() {
    let mut crafted = Crafted::new();
    crafted.journal[0].status = Some(422);
    crafted.assert_fault("payment a was answered with 422 and is stored");
}

#[test]
fn what_is_no_ledger_is_an_error_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("not-there.db");
    let error = check(&path, BANK, &[]).unwrap_err().to_string();
    assert!(error.contains("not-there.db"), "{error}");
    std::fs::write(&path, "this is no database, but it is long enough to be looked at as one").unwrap();
    assert!(check(&path, BANK, &[]).is_err());
}

#[test]
fn many_faults_of_a_kind_do_not_hide_another() {
    let mut crafted = Crafted::new().damage("UPDATE accounts SET balance = balance + 1 WHERE id = 3");
    for i in 0..50 {
        crafted.journal.push(entry(&format!("lost-{i}"), 1, 2, 5, Some(200)));
    }
    let books = crafted.books();
    assert_eq!(books.fault_count, 52);
    assert_eq!(books.faults.len(), 2 + FAULTS_SHOWN, "{:?}", books.faults);
}
