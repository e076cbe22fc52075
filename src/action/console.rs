//! What the action prints: one stream, in which no text of others can be a workflow command.
//!
//! The runner reads commands (`::error …`, `##[…]`) out of both streams and cannot tell whose they
//! are. So commands are switched off with a random token from the very first line, dbt's output and
//! all our own words are printed like that, and they are switched on for nothing but a command of
//! ours, each time with a new token. Everything goes to standard output: between two streams the
//! runner keeps no order.
//!
//! May import `domain`.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use super::random;

/// A workflow command of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its properties.
    pub properties: Vec<(&'static str, String)>,
    /// Its value.
    pub value: String,
}

impl Command {
    /// A command without properties.
    #[must_use]
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, properties: Vec::new(), value: value.into() }
    }

    /// Adds a property.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.properties.push((name, value.into()));
        self
    }

    /// The line the runner reads.
    #[must_use]
    pub fn line(&self) -> String {
        let properties: Vec<String> = self
            .properties
            .iter()
            .map(|(name, value)| format!("{name}={}", property(value)))
            .collect();
        let gap = if properties.is_empty() { "" } else { " " };
        format!("::{}{gap}{}::{}", self.name, properties.join(","), data(&self.value))
    }
}

/// A value as the runner decodes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value as the runner decodes it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The one stream.
#[derive(Clone)]
pub struct Console {
    state: Rc<RefCell<State>>,
}

struct State {
    out: Box<dyn Write>,
    /// Whether the last line has not been ended.
    open: bool,
    /// The token that switches commands on again.
    token: String,
}

impl Console {
    /// Switches commands off, and prints to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write>) -> Self {
        let mut state = State { out, open: false, token: String::new() };
        state.off();
        Self { state: Rc::new(RefCell::new(state)) }
    }

    /// Prints a text, whatever is in it.
    pub fn text(&self, text: &str) {
        self.state.borrow_mut().write(text);
    }

    /// Gives the runner commands.
    pub fn commands(&self, commands: &[Command]) {
        if commands.is_empty() {
            return;
        }
        let mut state = self.state.borrow_mut();
        state.on();
        for command in commands {
            state.write(&format!("{}\n", command.line()));
        }
        state.off();
    }

    /// Ends it: the runner's own lines may be commands again.
    pub fn end(&self) {
        self.state.borrow_mut().on();
    }
}

impl State {
    fn write(&mut self, text: &str) {
        // A runner that does not read any more is no reason to fail.
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        if let Some(last) = text.bytes().last() {
            self.open = !matches!(last, b'\n' | b'\r');
        }
    }

    fn end_line(&mut self) {
        if self.open {
            self.write("\n");
        }
    }

    fn off(&mut self) {
        self.token = random();
        let line = format!("::stop-commands::{}\n", self.token);
        self.end_line();
        self.write(&line);
    }

    fn on(&mut self) {
        let line = format!("::{}::\n", self.token);
        self.end_line();
        self.write(&line);
    }
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A stream that can be read again.
    #[derive(Clone, Default)]
    pub struct Shared(pub Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        pub fn read(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    /// The commands that a runner would obey in an output, as it reads it: a line that begins with
    /// `::`, or has `##[` anywhere, unless commands are stopped.
    pub fn obeyed(output: &str) -> Vec<String> {
        let mut stopped: Option<String> = None;
        let mut obeyed = Vec::new();
        for line in output.split(['\n', '\r']) {
            let line = line.trim_start();
            if let Some(token) = &stopped {
                if line == format!("::{token}::") {
                    stopped = None;
                }
            } else if let Some(token) = line.strip_prefix("::stop-commands::") {
                stopped = Some(token.to_owned());
            } else if line.starts_with("::") || line.contains("##[") {
                obeyed.push(line.to_owned());
            }
        }
        obeyed
    }

    #[test]
    fn a_value_cannot_end_its_line_or_its_property() {
        let command = Command::new("error", "100%\n::set-env name=A::b")
            .with("file", "a,line=9::b.sql")
            .with("title", "x\r\ny");
        assert_eq!(
            command.line(),
            "::error file=a%2Cline=9%3A%3Ab.sql,title=x%0D%0Ay::100%25%0A::set-env name=A::b"
        );
    }

    #[test]
    fn only_our_own_commands_are_obeyed() {
        let out = Shared::default();
        let console = Console::new(Box::new(out.clone()));
        console.text("::set-output name=a::b\nhalf a line");
        console.commands(&[Command::new("group", "dbt")]);
        console
            .text("##[add-mask]x\n  ::add-mask::y\n::stop-commands::mine\n::mine::\n::error::no");
        console.commands(&[Command::new("endgroup", "")]);
        console.end();
        assert_eq!(obeyed(&out.read()), ["::group::dbt", "::endgroup::"]);
        assert_eq!(obeyed("::a::\n"), ["::a::"]);
    }

    proptest! {
        #[test]
        fn no_output_of_others_is_ever_obeyed(
            pieces in proptest::collection::vec("(::|##\\[|%0A|\\r|\\n|stop-commands::|[a-z]{1,3}| |\u{2028}){0,12}", 1..8)
        ) {
            let out = Shared::default();
            let console = Console::new(Box::new(out.clone()));
            for piece in &pieces {
                console.text(piece);
                console.commands(&[Command::new("error", piece.clone()).with("file", piece.clone())]);
            }
            console.end();
            let obeyed = obeyed(&out.read());
            prop_assert_eq!(obeyed.len(), pieces.len());
            prop_assert!(obeyed.iter().all(|line| line.starts_with("::error file=")));
        }
    }
}
