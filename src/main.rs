//! The `switchback` binary: see the library for everything.

use std::process::ExitCode;

// One thread: children ask the kernel to end them with the thread that started them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [door] if door == "action" => switchback::action::main().await,
        _ => switchback::cli::main(arguments).await,
    }
}
