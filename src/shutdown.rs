//! The end of the process, as a value that is handed over.
//!
//! SIGTERM and SIGINT ask for an orderly end: everybody who holds the [`Token`] finishes what is under
//! way. A second one leaves at once, with the exit code that a shell gives to a process that the signal
//! has killed: 143 for SIGTERM, 130 for SIGINT. SIGHUP never ends the process.

use std::{convert::Infallible, io};

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Cloned into every task; cancelled once, when the process is asked to end.
pub use tokio_util::sync::CancellationToken as Token;

/// The signals that this process listens to, from the moment this exists.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

#[derive(Debug, Clone, Copy)]
enum Signal {
    Terminate,
    Interrupt,
    HangUp,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::HangUp => "SIGHUP",
        }
    }

    /// 128 and the signal's number, as shells count.
    fn exit_code(self) -> i32 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
            Self::HangUp => 129,
        }
    }
}

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP; must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// The operating system refused to register a handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Turns signals into the end of the process: the first SIGTERM or SIGINT cancels `shutdown`, the
    /// second leaves at once. Runs beside everything else and never ends by itself; who drops it
    /// after the first signal gives up the second one's meaning.
    pub async fn obey(mut self, shutdown: Token) -> Infallible {
        loop {
            let signal = self.next().await;
            let name = signal.name();
            match signal {
                Signal::HangUp => tracing::warn!(
                    signal = name,
                    "a restart is needed to read the configuration again"
                ),
                Signal::Terminate | Signal::Interrupt if shutdown.is_cancelled() => {
                    tracing::warn!(signal = name, "leaving at once");
                    std::process::exit(signal.exit_code());
                }
                Signal::Terminate | Signal::Interrupt => {
                    tracing::info!(
                        signal = name,
                        "leaving: answers under way are finished, a second signal leaves at once"
                    );
                    shutdown.cancel();
                }
            }
        }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.hang_up.recv() => Signal::HangUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Stdio, time::Duration};

    use tokio::{
        io::{AsyncBufReadExt, BufReader, Lines},
        process::{Child, ChildStdin, ChildStdout, Command},
        time::timeout,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// A process of its own that obeys signals: this test binary, running only [`subject`].
    struct Subject {
        process: Child,
        /// Kept here because waiting for a process closes its input.
        _input: Option<ChildStdin>,
        said: Lines<BufReader<ChildStdout>>,
    }

    impl Subject {
        async fn start() -> Self {
            let mut process = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "shutdown::tests::subject"])
                .args(["--ignored", "--nocapture"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let said = BufReader::new(process.stdout.take().unwrap()).lines();
            let mut subject = Self {
                _input: process.stdin.take(),
                process,
                said,
            };
            subject.says("listening").await;
            subject
        }

        async fn says(&mut self, what: &str) {
            let find = async {
                while let Some(line) = self.said.next_line().await.unwrap() {
                    if line == what {
                        return true;
                    }
                }
                false
            };
            let said = timeout(LONG, find).await;
            assert!(said.expect("it says something"), "it never said {what}");
        }

        async fn send(&self, signal: &str) {
            let id = self.process.id().unwrap();
            // The shell's own kill: the program of that name is not everywhere.
            let command = format!("kill -{signal} {id}");
            let sent = Command::new("sh").args(["-c", &command]).status().await;
            assert!(sent.unwrap().success());
        }

        async fn exit_code(mut self) -> Option<i32> {
            let status = timeout(LONG, self.process.wait()).await;
            status.expect("it ends").unwrap().code()
        }
    }

    #[tokio::test]
    #[ignore = "the process that the other stories send signals to; it ends with its input"]
    async fn subject() {
        let shutdown = Token::new();
        let signals = Signals::listen().unwrap();
        println!("\nlistening");
        let leaving = async {
            shutdown.cancelled().await;
            println!("\nleaving");
        };
        let input = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        tokio::select! {
            never = signals.obey(shutdown.clone()) => match never {},
            read = input => assert!(read.unwrap().is_ok()),
            () = async { leaving.await; std::future::pending().await } => {}
        }
    }

    #[tokio::test]
    async fn the_first_signal_asks_for_an_orderly_end_and_the_second_leaves_at_once() {
        for (signal, code) in [("TERM", 143), ("INT", 130)] {
            let mut subject = Subject::start().await;
            subject.send(signal).await;
            subject.says("leaving").await;
            assert!(
                subject.process.try_wait().unwrap().is_none(),
                "the first {signal} leaves the end to those who work"
            );
            subject.send(signal).await;
            assert_eq!(subject.exit_code().await, Some(code));
        }
    }

    #[tokio::test]
    async fn a_hang_up_never_ends_the_process() {
        let mut subject = Subject::start().await;
        subject.send("HUP").await;
        subject.send("HUP").await;
        subject.send("TERM").await;
        subject.says("leaving").await;
        subject.send("HUP").await;
        assert!(subject.process.try_wait().unwrap().is_none());
        subject.send("INT").await;
        assert_eq!(subject.exit_code().await, Some(130));
    }
}
