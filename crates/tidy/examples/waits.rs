//! Prints `docs/waits.md`: `cargo run -p ropewalk-tidy --example waits > docs/waits.md`.

use std::path::Path;

use ropewalk_tidy::waits::{of_the_facade, page};

fn main() -> Result<(), String> {
    let functions = of_the_facade(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))?;
    print!("{}", page(&functions));
    Ok(())
}
