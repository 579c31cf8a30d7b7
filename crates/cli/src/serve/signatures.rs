//! Signed payments: the `Signature` header is an Ed25519 signature over the body, in hex.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, SignatureError, VerifyingKey};
use serde::{Deserialize, Serialize};

/// Checks signatures with one public key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "([u8; 32], bool)", into = "([u8; 32], bool)")]
pub(super) struct Signatures {
    key: VerifyingKey,
    /// Payments without a signature are refused, too.
    required: bool,
}

/// A public key as it stands on the command line: 64 hex digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublicKey(VerifyingKey);

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = from_hex(text.as_bytes()).ok_or("a public key is 64 hex digits")?;
        VerifyingKey::from_bytes(&bytes)
            .map(Self)
            .map_err(|error| format!("this is not an Ed25519 public key: {error}"))
    }
}

impl TryFrom<([u8; 32], bool)> for Signatures {
    type Error = SignatureError;

    fn try_from((key, required): ([u8; 32], bool)) -> Result<Self, SignatureError> {
        Ok(Self { key: VerifyingKey::from_bytes(&key)?, required })
    }
}

impl From<Signatures> for ([u8; 32], bool) {
    fn from(signatures: Signatures) -> Self {
        (signatures.key.to_bytes(), signatures.required)
    }
}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signatures").field("required", &self.required).finish_non_exhaustive()
    }
}

impl Signatures {
    /// Signatures are checked with `key` where there are any, or on every payment when `required`.
    pub(super) fn new(key: PublicKey, required: bool) -> Self {
        Self { key: key.0, required }
    }

    /// Checks the value of a request's `Signature` header against its body.
    ///
    /// # Errors
    /// Says what the client should do.
    pub(super) fn check(&self, header: Option<&[u8]>, body: &[u8]) -> Result<(), &'static str> {
        let Some(header) = header else {
            return if self.required {
                Err(
                    "this service takes signed payments only: send the header `Signature`, an Ed25519 signature over the body in hex",
                )
            } else {
                Ok(())
            };
        };
        let bytes = from_hex(header).ok_or("the header `Signature` must have 128 hex digits")?;
        self.key
            .verify_strict(body, &Signature::from_bytes(&bytes))
            .map_err(|_| "the signature does not belong to this body and the service's key")
    }
}

/// Decodes exactly `N` bytes of hex.
fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::{PublicKey, Signatures};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn good_signatures_pass_and_all_others_do_not() {
        let signer = SigningKey::from_bytes(&[7; 32]);
        let key: PublicKey = hex(signer.verifying_key().as_bytes()).parse().expect("a key");
        let body = br#"{"id":"a","from":1,"to":2,"cents":3}"#;
        let good = hex(&signer.sign(body).to_bytes());
        let other = hex(&SigningKey::from_bytes(&[8; 32]).sign(body).to_bytes());

        let optional = Signatures::new(key, false);
        assert_eq!(optional.check(Some(good.as_bytes()), body), Ok(()));
        assert_eq!(optional.check(Some(good.to_uppercase().as_bytes()), body), Ok(()));
        assert_eq!(optional.check(None, body), Ok(()));
        for bad in ["", "xy", &other, &good[1..], &format!("{good}00"), &good.replace('a', "é")] {
            assert!(optional.check(Some(bad.as_bytes()), body).is_err(), "{bad}");
        }
        assert!(optional.check(Some(good.as_bytes()), b"{}").is_err());
        assert!(Signatures::new(key, true).check(None, body).is_err());
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for text in ["", "00", &"z".repeat(64), &"02".repeat(32)] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
    }
}
