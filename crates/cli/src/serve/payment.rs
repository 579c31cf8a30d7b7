//! A payment: what a client asks for, and what the ledger can answer.

use std::borrow::Cow;

use serde::Deserialize;

/// The longest key a client may choose, in bytes.
const KEY_LIMIT: usize = 255;

/// A payment that makes sense by itself; whether it can be done is for the ledger to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payment {
    /// Chosen by the client. The same key is never applied twice, which makes a retry harmless.
    pub(super) key: Box<str>,
    /// The account that pays.
    pub(super) payer: i64,
    /// The account that receives.
    pub(super) payee: i64,
    /// How much, in cents: more than 0.
    pub(super) cents: i64,
}

/// What the ledger answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done, and on the disk. A retry gets the balances of the first time.
    Paid {
        /// The payer's balance after this payment.
        payer_balance: i64,
        /// The payee's balance after this payment.
        payee_balance: i64,
    },
    /// The payer has less than that. Nothing is stored: a retry is decided anew.
    InsufficientFunds,
    /// The key belongs to a payment with another payer, payee or amount.
    KeyReused,
    /// There is no account of this number.
    UnknownAccount(i64),
    /// The database could not be written. Nothing is stored.
    Unavailable,
}

/// The body of `POST /payments`, as the client writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    from: i64,
    to: i64,
    cents: i64,
}

impl Payment {
    /// Reads the JSON body of a request.
    ///
    /// # Errors
    /// Says what is wrong with the body, in words for the client.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, Cow<'static, str>> {
        if json.is_empty() {
            return Err(
                r#"the body is empty: send JSON such as {"id":"a1","from":1,"to":2,"cents":250}"#.into()
            );
        }
        let body: Body<'_> = serde_json::from_slice(json).map_err(|error| {
            format!(r#"{error}: send JSON such as {{"id":"a1","from":1,"to":2,"cents":250}}"#)
        })?;
        if body.id.is_empty() || body.id.len() > KEY_LIMIT {
            return Err("`id` must have 1 to 255 bytes".into());
        }
        if body.id.chars().any(char::is_control) {
            return Err("`id` must not hold control characters".into());
        }
        if body.cents <= 0 {
            return Err("`cents` must be more than 0".into());
        }
        if body.from == body.to {
            return Err("`from` and `to` must be different accounts".into());
        }
        Ok(Self { key: body.id.into(), payer: body.from, payee: body.to, cents: body.cents })
    }
}

#[cfg(test)]
mod tests {
    use super::Payment;

    #[test]
    fn a_proper_body_is_read() {
        let json = br#" {"to":2, "cents":250, "id":"a\u00e9\"", "from":1} "#;
        let expected = Payment { key: "aé\"".into(), payer: 1, payee: 2, cents: 250 };
        assert_eq!(Payment::from_json(json), Ok(expected));
    }

    #[test]
    fn each_mistake_is_named() {
        let long = format!(r#"{{"id":"{}","from":1,"to":2,"cents":1}}"#, "k".repeat(256));
        for (json, word) in [
            ("", "empty"),
            ("{", "EOF"),
            ("[]", "invalid length"),
            (r#"{"id":"a","from":1,"to":2}"#, "cents"),
            (r#"{"id":"a","from":1,"to":2,"cents":1,"note":""}"#, "note"),
            (r#"{"id":"a","id":"b","from":1,"to":2,"cents":1}"#, "duplicate"),
            (r#"{"id":"a","from":1,"to":2,"cents":1} x"#, "trailing"),
            (r#"{"id":7,"from":1,"to":2,"cents":1}"#, "string"),
            (r#"{"id":"a","from":1,"to":2,"cents":1.5}"#, "floating"),
            (r#"{"id":"a","from":1,"to":2,"cents":0}"#, "more than 0"),
            (r#"{"id":"a","from":1,"to":2,"cents":-5}"#, "more than 0"),
            (r#"{"id":"a","from":2,"to":2,"cents":1}"#, "different"),
            (r#"{"id":"","from":1,"to":2,"cents":1}"#, "1 to 255"),
            (r#"{"id":"a\u0000","from":1,"to":2,"cents":1}"#, "control"),
            (long.as_str(), "1 to 255"),
        ] {
            let error = Payment::from_json(json.as_bytes()).expect_err(json);
            assert!(error.contains(word), "{json}: {error}");
        }
    }
}
