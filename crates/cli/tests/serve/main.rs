//! `ropewalk serve` from the outside: the real binary, over its socket, under every plan.

mod support;

mod api;
mod clients;
mod crash;
mod drain;
mod faults;
mod http;
mod log_order;
mod processes;
