//! The command from the outside: the real binary, its output, its files, its exit codes. (`serve` has tests of its own.)

mod support;

mod compare;
mod costs;
mod doctor;
mod manual;
mod output;
mod pages;
mod settings;
mod slices;
mod tour;
