//! The gapless command.

use std::process::ExitCode;

/// Decoding allocates and frees large buffers in several threads, which this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(gapless::cli::run_from(std::env::args_os()))
}
