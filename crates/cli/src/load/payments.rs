//! What the users ask for: payments and reads drawn from a seed.
//!
//! Each user draws from a generator of its own, so the same seed gives every plan the same payments whatever the
//! order in which they arrive. One payment in a hundred asks for more than all the money there is: it must be
//! refused whatever came before it, so a server that lets one pass is caught. The others are small beside the
//! opening balance; a few of them meet an empty account late in a long run.

use clap::ValueEnum;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

/// What one request makes the server do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Work {
    /// A payment: the server waits for the ledger
    Io,
    /// A payment whose Ed25519 signature the server verifies first
    Cpu,
    /// Payments, every second one signed and verified
    Mixed,
    /// `GET /accounts/N`: the ledger answers from memory, without a commit
    Read,
}

impl Work {
    /// Whether the server needs the users' public key.
    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Work::Cpu | Work::Mixed)
    }

    /// The word used on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Io => "io",
            Work::Cpu => "cpu",
            Work::Mixed => "mixed",
            Work::Read => "read",
        }
    }

    /// What one request is called in a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Work::Io | Work::Cpu | Work::Mixed => "payment",
            Work::Read => "request",
        }
    }
}

/// The accounts that the server opened: the users must know how much money there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bank {
    /// How many accounts, numbered from 1.
    pub(crate) accounts: u32,
    /// What each of them held at the start.
    pub(crate) opening_cents: i64,
}

impl Bank {
    /// All the money there is, always.
    pub(crate) fn money_cents(self) -> i64 {
        i64::from(self.accounts) * self.opening_cents
    }
}

/// One payment as a user sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    /// The account that pays.
    pub(crate) from: u32,
    /// The account that is paid.
    pub(crate) to: u32,
    /// How much.
    pub(crate) cents: i64,
}

/// One request of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// `POST /payments`.
    Pay {
        /// The payment.
        payment: Payment,
        /// Whether it carries a signature.
        signed: bool,
    },
    /// `GET /accounts/N`.
    Read(u32),
}

/// The most that an ordinary payment moves. Small beside an opening balance of 100.00, so that even an account that
/// pays 200 times in a run seldom runs dry.
const CENTS_MAX: i64 = 250;

/// One payment in so many asks for more than all the money there is.
const GREEDY_ONE_IN: u32 = 100;

/// The requests of one user, in order.
pub(super) struct Draws {
    random: fastrand::Rng,
    work: Work,
    bank: Bank,
    drawn: u64,
}

impl Draws {
    /// The requests of `user` under `seed`. `bank` must have at least two accounts.
    pub(super) fn new(seed: u64, user: u32, work: Work, bank: Bank) -> Self {
        // Neighbouring seeds must not give neighbouring streams: mix both numbers through one generator first.
        let mut mixer = fastrand::Rng::with_seed(seed);
        let mixed = mixer.u64(..) ^ (u64::from(user) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { random: fastrand::Rng::with_seed(mixed), work, bank, drawn: 0 }
    }

    /// The user's next request.
    pub(super) fn next_request(&mut self) -> Request {
        self.drawn += 1;
        let signed = match self.work {
            Work::Read => return Request::Read(self.account()),
            Work::Io => false,
            Work::Cpu => true,
            Work::Mixed => self.drawn.is_multiple_of(2),
        };
        Request::Pay { payment: self.payment(), signed }
    }

    fn account(&mut self) -> u32 {
        self.random.u32(1..=self.bank.accounts)
    }

    fn payment(&mut self) -> Payment {
        let from = self.account();
        // Any account but the payer, each equally likely.
        let mut to = self.random.u32(1..self.bank.accounts);
        if to >= from {
            to += 1;
        }
        let ordinary = self.random.i64(1..=CENTS_MAX);
        let cents = if self.random.u32(0..GREEDY_ONE_IN) == 0 {
            self.bank.money_cents() + ordinary
        } else {
            ordinary
        };
        Payment { from, to, cents }
    }
}

/// The key with which all users sign under `seed`: a benchmark's key, made from a public number, secret from nobody.
pub(crate) fn signing_key(seed: u64) -> SigningKey {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5167_6e61_7475_7265);
    let mut secret = [0; 32];
    random.fill(&mut secret);
    SigningKey::from_bytes(&secret)
}

/// The public half of [`signing_key`] as `serve --signatures` takes it.
pub(crate) fn public_key_hex(seed: u64) -> String {
    hex(signing_key(seed).verifying_key().as_bytes())
}

/// Bytes as lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANK: Bank = Bank { accounts: 10_000, opening_cents: 10_000 };

    fn payments(seed: u64, user: u32, count: usize) -> Vec<Payment> {
        let mut draws = Draws::new(seed, user, Work::Io, BANK);
        (0..count)
            .map(|_| match draws.next_request() {
                Request::Pay { payment, signed: false } => payment,
                other => panic!("io work is unsigned payments only: {other:?}"),
            })
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_payments_and_another_gives_others() {
        assert_eq!(payments(7, 3, 100), payments(7, 3, 100));
        assert_ne!(payments(7, 3, 100), payments(8, 3, 100));
        assert_ne!(payments(7, 3, 100), payments(7, 4, 100));
    }

    #[test]
    fn about_one_payment_in_a_hundred_asks_for_more_than_there_is() {
        let all = payments(1, 0, 100_000);
        let greedy = all.iter().filter(|p| p.cents > BANK.money_cents()).count();
        assert!((900..1_100).contains(&greedy), "{greedy}");
    }

    #[test]
    fn a_payment_is_valid_and_reaches_every_account() {
        let two = Bank { accounts: 2, opening_cents: 5 };
        let mut draws = Draws::new(1, 1, Work::Io, two);
        let mut seen = [false; 3];
        for _ in 0..100 {
            let Request::Pay { payment, .. } = draws.next_request() else {
                panic!("io work is payments only");
            };
            assert_ne!(payment.from, payment.to);
            assert!(payment.cents > 0);
            seen[payment.from as usize] = true;
            seen[payment.to as usize] = true;
        }
        assert_eq!(seen, [false, true, true]);
    }

    #[test]
    fn each_work_signs_what_it_says() {
        let signed = |work| {
            let mut draws = Draws::new(1, 1, work, BANK);
            (0..1_000).filter(|_| matches!(draws.next_request(), Request::Pay { signed: true, .. })).count()
        };
        assert_eq!([Work::Io, Work::Cpu, Work::Mixed, Work::Read].map(signed), [0, 1_000, 500, 0]);
    }

    #[test]
    fn the_public_key_belongs_to_the_signing_key() {
        use ed25519_dalek::{Signer as _, Verifier as _};
        let key = signing_key(1);
        let signature = key.sign(b"body");
        assert!(key.verifying_key().verify(b"body", &signature).is_ok());
        assert_eq!(public_key_hex(1).len(), 64);
        assert_ne!(public_key_hex(1), public_key_hex(2));
    }
}
