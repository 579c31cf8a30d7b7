//! What all structures have in common: how they are cloned, shown and sent.

/// A handle is cloned as its block is, shows where it stands, and travels as that. Its `form` says what the receiver has to
/// find there.
macro_rules! travels {
    ($name:ident $(<$value:ident>)?) => {
        impl $(<$value: super::Plain>)? Clone for $name $(<$value>)? {
            fn clone(&self) -> Self {
                Self::of(self.block.clone())
            }
        }

        impl $(<$value: super::Plain>)? serde::Serialize for $name $(<$value>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.block.serialize(serializer)
            }
        }

        impl<'de $(, $value: super::Plain)?> serde::Deserialize<'de> for $name $(<$value>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::block::Block::deserialize(deserializer, Self::form()).map(Self::of)
            }
        }

        impl $(<$value: super::Plain>)? std::fmt::Debug for $name $(<$value>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.block).finish()
            }
        }
    };
}
pub(super) use travels;
