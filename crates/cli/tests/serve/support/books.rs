//! The books as anyone can read them: with SQLite, behind the server's back.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

/// All payments of a database.
pub(crate) struct Books {
    /// Payer, payee, cents and both balances, by key.
    pub(crate) payments: HashMap<String, (i64, i64, i64, i64, i64)>,
}

impl Books {
    /// Reads them, and checks all that must be true of them at any moment.
    pub(crate) fn read(database: &Path) -> Self {
        let connection = Connection::open(database).expect("the database");
        let number = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).expect(sql) };
        let opening = number("SELECT value FROM meta WHERE name = 'opening_balance'");
        let accounts = number("SELECT count(*) FROM accounts");
        assert_eq!(number("SELECT sum(balance) FROM accounts"), opening * accounts, "money is conserved");
        assert_eq!(number("SELECT count(*) FROM accounts WHERE balance < 0"), 0, "nobody owes");
        assert_eq!(
            number(
                "SELECT count(*) FROM accounts LEFT JOIN
                   (SELECT account, sum(cents) AS sum FROM entries GROUP BY account) ON account = accounts.id
                 WHERE balance <> (SELECT value FROM meta WHERE name = 'opening_balance') + coalesce(sum, 0)"
            ),
            0,
            "each balance is what its entries say"
        );
        assert_eq!(
            number(
                "SELECT count(*) FROM
                   (SELECT count(*) AS n, sum(e.cents) AS sum, max(e.cents) AS gained, p.cents AS cents,
                           sum(e.cents < 0 AND e.account = p.payer) AS payers,
                           sum(e.cents > 0 AND e.account = p.payee) AS payees
                    FROM entries AS e JOIN payments AS p ON p.key = e.payment GROUP BY e.payment)
                 WHERE n = 2 AND sum = 0 AND gained = cents AND payers = 1 AND payees = 1"
            ),
            number("SELECT count(*) FROM payments"),
            "each payment has its two entries"
        );
        assert_eq!(
            number("SELECT count(*) FROM entries"),
            2 * number("SELECT count(*) FROM payments"),
            "no entry is without a payment"
        );
        let integrity: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
        assert_eq!(integrity, "ok");
        let mut statement = connection
            .prepare("SELECT key, payer, payee, cents, payer_balance, payee_balance FROM payments")
            .expect("a statement");
        let payments = statement
            .query_map([], |row| {
                Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
            })
            .expect("payments")
            .collect::<rusqlite::Result<_>>()
            .expect("payments");
        Self { payments }
    }
}
