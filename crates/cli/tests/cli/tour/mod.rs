//! `ropewalk tour`: every topic in every language, on both drivers, in little memory.

mod support;

mod screens;
mod seeds;
mod stories;
