//! What a type looks like in a message, as text that two programs can compare.
//!
//! postcard writes values without names and kinds, so a message that was meant for another type may decode to nonsense. What
//! a type reads is what its `Deserialize` asks for, and it can be asked: by a deserializer that notes each request and
//! serves it with a made-up value. Where a type offers several ways on - the variants of an enum, something or nothing -
//! one run takes one of them, so there are as many runs as it takes to have been everywhere. (`serde-reflection` does the
//! same, and wants every name to stand for one type, which generic types do not keep to.)
//!
//! # What the text says, and what not
//! 1. For each place in the type what is read there: `.size.0: u32`. Names of fields and variants count, since a field
//!    that was renamed usually means something else; names of types do not.
//! 2. A type that contains itself is followed to its third level.
//! 3. A value that a type does not accept (a text that must be a date) ends the run: the text tells what was read up to
//!    there, and nothing of what would have come next. So equal texts make a mistake improbable, not impossible.
//! 4. The same definition gives the same text in every build.

use std::collections::BTreeMap;
use std::fmt;

use ropewalk_sync::park::no_suspend;
use serde::Deserializer;
use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use crate::message::with_any_descriptor;

/// A type is run through at most so often: enums in enums in enums take many runs.
const RUNS: usize = 1000;
/// Types in types, at most; the stack of a coroutine is small.
const DEPTH: usize = 48;
/// A type may be inside itself so often.
const NESTED: usize = 2;

/// What `T` looks like: a line for each place in it, in the order of the places' names.
#[must_use]
pub fn of<T: DeserializeOwned>() -> String {
    let mut trace = Trace::default();
    // A `Deserialize` of the user's runs, as when a message is decoded.
    no_suspend(|| {
        with_any_descriptor(|| {
            for _ in 0..RUNS {
                let ended = T::deserialize(At(&mut trace));
                if !trace.go_on(ended.is_ok()) {
                    break;
                }
            }
        });
    });
    trace.asked.into_iter().map(|(place, what)| format!("{place}: {what}\n")).collect()
}

/// Where two of these texts differ first: the place, and what each has there.
#[must_use]
pub fn difference(one: &str, other: &str) -> Option<(String, String, String)> {
    let places = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.map(|(place, what)| (place.to_owned(), what.to_owned())).collect()
    };
    let (one, other) = (places(one), places(other));
    let place = one.keys().chain(other.keys()).filter(|place| one.get(*place) != other.get(*place)).min()?;
    let what = |all: &BTreeMap<String, String>| all.get(place).map_or("nothing", String::as_str).to_owned();
    Some((place.clone(), what(&one), what(&other)))
}

/// One of these texts as a number, the same in every build: FNV-1a (64 bits; Fowler, Noll, Vo,
/// draft-eastlake-fnv). It finds mistakes. Against who wants two texts to have one number it is no protection.
#[must_use]
pub fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// How far a way on has been followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    Seen,
    /// It leads to a value that the type does not accept.
    Closed,
}

/// A fork at which a run has taken a way.
struct Taken {
    place: String,
    way: usize,
    /// In so many other forks.
    depth: usize,
}

/// All that is known of a type after some runs, and where the present one is.
#[derive(Default)]
struct Trace {
    asked: BTreeMap<String, String>,
    forks: BTreeMap<String, Vec<Way>>,
    taken: Vec<Taken>,
    /// Of those taken, the ones that the run is inside of.
    inside: Vec<usize>,
    types: Vec<&'static str>,
    place: String,
    depth: usize,
}

impl Trace {
    fn note(&mut self, what: impl Into<String>) {
        self.asked.entry(self.place.clone()).or_insert_with(|| what.into());
    }

    /// Takes a way on: one that has not been followed to its end, if there is one.
    fn take(&mut self, ways: usize) -> Result<usize, Refused> {
        let fork = self.forks.entry(self.place.clone()).or_insert_with(|| vec![Way::Open; ways]);
        let first = |wanted| fork.iter().position(|way| *way == wanted);
        let way = first(Way::Open).or(first(Way::Seen)).or(first(Way::Closed)).ok_or(Refused)?;
        self.taken.push(Taken { place: self.place.clone(), way, depth: self.inside.len() });
        self.inside.push(self.taken.len() - 1);
        Ok(way)
    }

    /// Runs `f` with the ways that it is offered, and leaves the fork behind if it succeeds.
    fn fork<R>(
        &mut self,
        ways: usize,
        f: impl FnOnce(&mut Self, usize) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        let depth = self.inside.len();
        let way = self.take(ways)?;
        let result = f(self, way)?;
        self.inside.truncate(depth);
        Ok(result)
    }

    /// Reads what is at `step` from here.
    fn step<R>(&mut self, step: &str, f: impl FnOnce(At<'_>) -> Result<R, Refused>) -> Result<R, Refused> {
        let length = self.place.len();
        self.place.push_str(step);
        self.depth += 1;
        let result = if self.depth > DEPTH { Err(Refused) } else { f(At(self)) };
        self.depth -= 1;
        self.place.truncate(length);
        result
    }

    /// Reads a type that has a name: not when that is inside itself too often.
    fn named<R>(
        &mut self,
        name: &'static str,
        f: impl FnOnce(&mut Self) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        if self.types.iter().filter(|outer| **outer == name).count() > NESTED {
            return Err(Refused);
        }
        self.types.push(name);
        let result = f(self);
        self.types.pop();
        result
    }

    /// Whether there is more to see after a run that has ended like this.
    fn go_on(&mut self, accepted: bool) -> bool {
        let more = if accepted { self.mark_seen() } else { self.mark_closed() };
        self.taken.clear();
        self.inside.clear();
        self.types.clear();
        self.place.clear();
        self.depth = 0;
        more
    }

    /// A way has been seen when all that was met on it has. Whether a fork is left that has not.
    fn mark_seen(&mut self) -> bool {
        let mut more = false;
        for index in (0..self.taken.len()).rev() {
            let Taken { place, way, depth } = &self.taken[index];
            let within = self.taken[index + 1..].iter().take_while(|inner| inner.depth > *depth);
            let seen = within.map(|inner| &self.forks[&inner.place]).all(|fork| !fork.contains(&Way::Open));
            let fork = self.forks.get_mut(place).expect("it was entered when it was taken");
            if seen {
                fork[*way] = Way::Seen;
            }
            more |= fork.contains(&Way::Open);
        }
        more
    }

    /// Closes the last way that led to where the run ended, and the way to that fork if it was its last. Whether
    /// any is left.
    fn mark_closed(&mut self) -> bool {
        for index in self.inside.iter().rev() {
            let Taken { place, way, .. } = &self.taken[*index];
            let fork = self.forks.get_mut(place).expect("it was entered when it was taken");
            fork[*way] = Way::Closed;
            if fork.iter().any(|way| *way != Way::Closed) {
                return true;
            }
        }
        false
    }
}

/// A run cannot go on.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the made-up value was not accepted")
    }
}

impl std::error::Error for Refused {}

impl serde::de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads what is at the present place.
struct At<'t>(&'t mut Trace);

/// The requests that a single value answers. One is a better number than zero: `NonZero` takes it.
macro_rules! values {
    ($($method:ident $visit:ident $what:literal $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            self.0.note($what);
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Refused;

    values! {
        deserialize_bool visit_bool "bool" true;
        deserialize_i8 visit_i8 "i8" 1;
        deserialize_i16 visit_i16 "i16" 1;
        deserialize_i32 visit_i32 "i32" 1;
        deserialize_i64 visit_i64 "i64" 1;
        deserialize_i128 visit_i128 "i128" 1;
        deserialize_u8 visit_u8 "u8" 1;
        deserialize_u16 visit_u16 "u16" 1;
        deserialize_u32 visit_u32 "u32" 1;
        deserialize_u64 visit_u64 "u64" 1;
        deserialize_u128 visit_u128 "u128" 1;
        deserialize_f32 visit_f32 "f32" 1.0;
        deserialize_f64 visit_f64 "f64" 1.0;
        deserialize_char visit_char "char" '1';
        deserialize_str visit_str "text" "1";
        deserialize_string visit_str "text" "1";
        deserialize_bytes visit_bytes "bytes" b"1";
        deserialize_byte_buf visit_bytes "bytes" b"1";
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.0.note("nothing");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        // What is inside is all that is written.
        self.0.named(name, |trace| visitor.visit_newtype_struct(At(trace)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.0.note("one or none");
        self.0.fork(2, |trace, way| match way {
            0 => trace.step("?", |at| visitor.visit_some(at)),
            _ => visitor.visit_none(),
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.0.note("sequence");
        self.0.fork(2, |trace, way| {
            visitor.visit_seq(Parts { trace, names: Names::Any, next: 0, count: 1 - way })
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.0.note("map");
        self.0.fork(2, |trace, way| visitor.visit_map(Pairs { trace, count: 1 - way }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Refused> {
        self.0.note(format!("tuple of {count}"));
        visitor.visit_seq(Parts { trace: self.0, names: Names::Numbers, next: 0, count })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.0.named(name, |trace| At(trace).deserialize_tuple(count, visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.0.note(format!("struct {{{}}}", fields.join(", ")));
        self.0.named(name, |trace| visitor.visit_seq(Parts::fields(trace, fields)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.0.note(format!("enum {{{}}}", variants.join(", ")));
        self.0.named(name, |trace| {
            trace.fork(variants.len(), |trace, index| {
                visitor.visit_enum(Variant { trace, index, name: variants[index] })
            })
        })
    }

    // postcard has no answer to these: who asks cannot be sent.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        self.0.note("anything");
        Err(Refused)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_any(visitor)
    }
}

/// What the parts of something are called.
enum Names {
    Any,
    Numbers,
    Fields(&'static [&'static str]),
}

/// The parts of a sequence, a tuple or a struct.
struct Parts<'t> {
    trace: &'t mut Trace,
    names: Names,
    next: usize,
    count: usize,
}

impl<'t> Parts<'t> {
    fn fields(trace: &'t mut Trace, fields: &'static [&'static str]) -> Self {
        Self { trace, names: Names::Fields(fields), next: 0, count: fields.len() }
    }
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        if self.next == self.count {
            return Ok(None);
        }
        let step = match self.names {
            Names::Any => "[]".to_owned(),
            Names::Numbers => format!(".{}", self.next),
            Names::Fields(names) => format!(".{}", names[self.next]),
        };
        self.next += 1;
        self.trace.step(&step, |at| seed.deserialize(at)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.next)
    }
}

/// The one pair of a map, or none.
struct Pairs<'t> {
    trace: &'t mut Trace,
    count: usize,
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if self.count == 0 {
            return Ok(None);
        }
        self.count = 0;
        self.trace.step("{key}", |at| seed.deserialize(at)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        self.trace.step("{value}", |at| seed.deserialize(at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count)
    }
}

/// The variant that a run has taken.
struct Variant<'t> {
    trace: &'t mut Trace,
    index: usize,
    name: &'static str,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refused> {
        let index: U32Deserializer<Refused> =
            u32::try_from(self.index).map_err(|_| Refused)?.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl Variant<'_> {
    fn read<R>(self, f: impl FnOnce(At<'_>) -> Result<R, Refused>) -> Result<R, Refused> {
        self.trace.step(&format!("::{}", self.name), f)
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        self.read(|at| {
            at.0.note("nothing");
            Ok(())
        })
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        self.read(|at| seed.deserialize(at))
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Refused> {
        self.read(|at| at.deserialize_tuple(count, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.read(|at| {
            at.0.note(format!("struct {{{}}}", fields.join(", ")));
            visitor.visit_seq(Parts::fields(at.0, fields))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU8;

    use serde::{Deserialize, Serialize};

    use super::{difference, of};
    use crate::message::Descriptor;

    #[derive(Serialize, Deserialize)]
    struct Picture {
        name: String,
        size: (u32, NonZeroU8),
        parts: BTreeMap<u16, Vec<Part>>,
        file: Descriptor,
        last: f32,
    }

    #[derive(Serialize, Deserialize)]
    enum Part {
        Line,
        Text(Option<String>),
        Mix(bool, char),
        Group { inner: Box<Kind>, again: Box<Kind> },
    }

    #[derive(Serialize, Deserialize)]
    enum Kind {
        Flat(u8),
        Round(i128),
    }

    #[test]
    fn every_place_of_a_type_is_in_its_schema() {
        let expected = "\
.file: u32
.last: f32
.name: text
.parts: map
.parts{key}: u16
.parts{value}: sequence
.parts{value}[]: enum {Line, Text, Mix, Group}
.parts{value}[]::Group: struct {inner, again}
.parts{value}[]::Group.again: enum {Flat, Round}
.parts{value}[]::Group.again::Flat: u8
.parts{value}[]::Group.again::Round: i128
.parts{value}[]::Group.inner: enum {Flat, Round}
.parts{value}[]::Group.inner::Flat: u8
.parts{value}[]::Group.inner::Round: i128
.parts{value}[]::Line: nothing
.parts{value}[]::Mix: tuple of 2
.parts{value}[]::Mix.0: bool
.parts{value}[]::Mix.1: char
.parts{value}[]::Text: one or none
.parts{value}[]::Text?: text
.size: tuple of 2
.size.0: u32
.size.1: u8
";
        let schema = of::<Picture>();
        let (head, rest) = schema.split_once('\n').unwrap();
        assert_eq!(head, ": struct {name, size, parts, file, last}");
        assert_eq!(rest, expected);
    }

    #[test]
    fn what_lies_behind_every_variant_is_seen() {
        #[derive(Serialize, Deserialize)]
        enum Outer {
            One(Kind),
            Two(Kind),
        }
        let schema = of::<Outer>();
        for line in ["::One::Flat: u8", "::One::Round: i128", "::Two::Flat: u8", "::Two::Round: i128"] {
            assert!(schema.contains(line), "{line} in {schema}");
        }
    }

    #[test]
    fn a_type_inside_itself_has_an_end() {
        #[derive(Serialize, Deserialize)]
        struct Tree {
            children: Vec<Tree>,
            leaf: u64,
        }
        #[derive(Serialize, Deserialize)]
        enum Term {
            Sum(Box<Term>, Box<Term>),
            Not(Box<Term>),
            Number(i64),
        }
        let tree = of::<Tree>();
        assert!(tree.contains(".leaf: u64") && tree.contains(".children[].leaf: u64"), "{tree}");
        let term = of::<Term>();
        assert!(term.contains("::Sum.1::Not::Number: i64"), "{term}");
    }

    #[test]
    fn a_value_that_is_not_accepted_ends_what_is_seen_but_not_what_else_there_is() {
        #[derive(Serialize)]
        struct Date;
        impl<'de> Deserialize<'de> for Date {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?;
                Err(serde::de::Error::custom("no date"))
            }
        }
        #[derive(Serialize, Deserialize)]
        enum When {
            At(Date),
            Never { why: u8 },
        }
        let when = of::<(Option<When>, u16)>();
        for line in [".0?::At: text", ".0?::Never.why: u8", ".1: u16"] {
            assert!(when.contains(line), "{line} in {when}");
        }
        let after = of::<(u8, Date, u16)>();
        assert!(after.contains(".1: text") && !after.contains(".2"), "{after}");
    }

    #[test]
    fn the_first_difference_is_named() {
        let (one, other) = (of::<(u8, Vec<String>)>(), of::<(u8, Vec<u32>)>());
        let expected = (".1[]".to_owned(), "text".to_owned(), "u32".to_owned());
        assert_eq!(difference(&one, &other), Some(expected));
        assert_eq!(difference(&one, &one), None);
        let (more, less) = (of::<Option<u8>>(), of::<()>());
        assert_eq!(difference(&more, &less).unwrap().2, "nothing");
    }
}
