//! Generators: functions on a stack of their own, that give values on the way and go on when they are asked to.
//!
//! Two functions that take turns, one the producer and one the consumer, need neither a queue nor a lock. Python writes it
//! with `yield`, and so does this, method by method: `next()` starts the consumer, `send(n)` hands it a number and comes
//! back with what it yields next, `close()` ends it.
//!
//! ```
//! use ropewalk::generator::Generator;
//!
//! fn consumer() -> Generator<u32, &'static str, ()> {
//!     Generator::new(|yielder| {
//!         let mut r = "";
//!         while let Some(n) = yielder.yield_(r) {
//!             println!("[CONSUMER] Consuming {n}...");
//!             r = "200 OK";
//!         }
//!     })
//! }
//!
//! fn produce(mut c: Generator<u32, &'static str, ()>) {
//!     c.next();
//!     for n in 1..=5 {
//!         println!("[PRODUCER] Producing {n}...");
//!         let r = c.send(n).unwrap().yielded().unwrap();
//!         println!("[PRODUCER] Consumer return: {r}");
//!     }
//!     c.close();
//! }
//!
//! produce(consumer());
//! ```
//!
//! Because the body has a stack, any function that it calls may yield, however deep: a walk over a tree is the plain
//! recursion. A generator is an iterator over what it yields.
//!
//! ```
//! use ropewalk::generator::{Generator, Yielder};
//!
//! struct Tree(Option<Box<Tree>>, u32, Option<Box<Tree>>);
//!
//! fn walk(tree: &Tree, yielder: &Yielder<(), u32>) {
//!     tree.0.iter().for_each(|left| walk(left, yielder));
//!     yielder.yield_(tree.1);
//!     tree.2.iter().for_each(|right| walk(right, yielder));
//! }
//!
//! let leaf = |n| Some(Box::new(Tree(None, n, None)));
//! let tree = Tree(leaf(1), 2, Some(Box::new(Tree(leaf(3), 4, None))));
//! let numbers = Generator::new(move |yielder| walk(&tree, yielder));
//! assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4]);
//! ```
//!
//! A generator is no task and needs no runtime: it runs when it is resumed, as a part of whoever resumes it, on a thread, in
//! a coroutine or in another generator. It stays on its thread (it is not `Send`), and nothing can resume it while it runs:
//! that takes `&mut`. Its body may wait; then the whole task waits, and a cancellation, a timeout or the failure of a scope
//! that is raised there unwinds the body and goes on in whoever resumed it. What a body must not do is to yield inside of
//! a `timeout`, `shield`, `scope` or `no_suspend` that it has opened itself.
//!
//! | to | use |
//! |---|---|
//! | start, go on | [`Generator::resume`], or as an iterator |
//! | give it an input | [`Generator::send`] |
//! | raise an error in it | [`Generator::throw`] |
//! | end it | [`Generator::close`], or drop it: its destructors run |
//! | borrow | [`scope`](fn@scope) |
//!
//! An owned generator must not borrow: it can be forgotten. The page of [`scope`](fn@scope) says more.

pub use ropewalk_runtime::generator::{
    Builder, Finished, Generator, Scoped, SendError, State, ThrowError, Yielder, scope,
};
