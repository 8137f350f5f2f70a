//! The gapless command.

use std::process::ExitCode;

/// Decoding allocates and frees large buffers in several threads, which this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Asks for pages of the usual size. Of a huge page all two megabytes are cleared and count, however few of them are used: of buffers that come and go
/// in several threads that is a tenth of the peak, and no time was won by it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a call of the system without arguments that point anywhere")]
fn use_small_pages() {
    // SAFETY: the call takes numbers alone, and where it is not known it says so and does nothing.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    use_small_pages();
    ExitCode::from(gapless::cli::run_from(std::env::args_os()))
}
