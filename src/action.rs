//! The front door for GitHub: reads `INPUT_*`, runs the verb as the command line would, and writes
//! outputs, job summary, annotations, deployments and the pull request's comment.
//!
//! What GitHub is told never changes how a run ends. Everything printed goes through the console,
//! in which no text of others can be a workflow command.

mod annotate;
mod console;
mod context;
mod first;
mod inputs;
mod outputs;
mod owner;
mod recorder;
mod tell;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use self::console::{Command, Console};
use self::context::Context;
use self::inputs::{Env, Inputs};
use self::recorder::Recorder;
use self::tell::Telling;
use crate::cli::{self, Ended, Invocation, Parsed};
use crate::config::Config;
use crate::domain::name::hex;
use crate::failure::{Failure, Outcome};
use crate::ports::forge::{DeploymentId, Forge, Task};
use crate::report::course::Course;
use crate::report::markdown::{self, Frame, Told};
use crate::report::{ROLLBACK_WORKFLOW, answer_json, answer_text, failure_json, failure_text};
use crate::verb::site::{ForgeSettings, Glimpse, checkout_of, forge, glimpse_of};

pub use self::outputs::OUTPUTS;

/// How long one request to GitHub may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the action of this process.
pub async fn main() -> ExitCode {
    if first::is_first() {
        return first::supervise().await.unwrap_or_else(|error| {
            cli::print(cli::Stream::Error, &format!("error: the action cannot start: {error}\n"));
            ExitCode::FAILURE
        });
    }
    let console = Console::new(Box::new(std::io::stdout()));
    let code = run(&|name| std::env::var(name).ok(), &console).await;
    console.end();
    ExitCode::from(code)
}

/// What the inputs ask for.
struct Asked {
    inputs: Inputs,
    invocation: Invocation,
    dry_run: bool,
}

/// One run of the action.
struct Run<'a> {
    env: Env<'a>,
    console: &'a Console,
    context: Context,
    /// What could be seen of the project.
    seen: Glimpse,
    began: SystemTime,
}

async fn run(env: Env<'_>, console: &Console) -> u8 {
    let began = SystemTime::now();
    let context = Context::read(env);
    // Before anything is printed that could hold one.
    console.commands(&masks(inputs::secrets(env)));
    let asked = ask(env, &context);
    let invocation = asked.as_ref().ok().map(|asked| &asked.invocation);
    let seen = see(invocation);
    console.commands(&masks(
        seen.asked.iter().filter(|one| one.secret).filter_map(|one| env(&one.name)),
    ));
    let run = Run { env, console, context, seen, began };
    match (asked, cli::watch_signals()) {
        (Ok(asked), Ok(halt)) => run.work(&asked, halt).await,
        (Err(failure), _) | (_, Err(failure)) => {
            let ended = Ended { code: failure.kind.exit_code(), result: Err(failure) };
            let verb = inputs::verb(env).unwrap_or_else(|_| "action".to_owned());
            let frame = Frame { verb, environment: "production".to_owned(), ..Frame::default() };
            run.report(&ended, &Course::default(), frame);
            ended.code
        }
    }
}

fn ask(env: Env<'_>, context: &Context) -> Outcome<Asked> {
    let inputs = Inputs::read(env)?;
    let invocation = match cli::parse(&inputs::arguments(env)?) {
        Parsed::Run(invocation) => invocation,
        Parsed::Text(text, _) => return Err(Failure::usage(text.trim().to_owned())),
    };
    let dry_run = invocation.given.contains_key("dry-run");
    context.refuse_unmerged(&invocation.verb, dry_run, inputs.allow_pull_request)?;
    Ok(Asked { inputs, invocation, dry_run })
}

/// A glimpse of the project; what cannot be seen is the verb's to complain about.
fn see(invocation: Option<&Invocation>) -> Glimpse {
    let look = || {
        let cwd = std::env::current_dir().ok()?;
        let config = Config::load(&invocation?.given, &cwd).ok()?;
        let env = Arc::new(|name: &str| std::env::var(name).ok());
        Some(glimpse_of(&config, &(env as _), &cwd))
    };
    look().unwrap_or_default()
}

/// Masks for secrets, line by line, as they would be printed. Very short ones would blacken
/// everything.
fn masks(secrets: impl IntoIterator<Item = String>) -> Vec<Command> {
    let mut lines: Vec<String> = secrets
        .into_iter()
        .flat_map(|secret| secret.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .filter(|line| line.chars().count() > 3)
        .collect();
    lines.sort();
    lines.dedup();
    lines.into_iter().map(|line| Command::new("add-mask", line)).collect()
}

/// Thirty-two random digits from the kernel.
fn random() -> String {
    let mut bytes = [0u8; 16];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    hex(&bytes)
}

impl Run<'_> {
    async fn work(&self, asked: &Asked, halt: cli::Halting) -> u8 {
        let recorder = Rc::new(Recorder::new(self.console.clone()));
        let telling = self.telling(asked, &halt).await;
        let verb = cli::execute(&asked.invocation, recorder.clone(), halt);
        let (ended, begun): (Ended, Option<DeploymentId>) = tokio::join!(verb, telling.beside());
        let course = recorder.course();
        let frame = self.frame(asked);
        let body =
            markdown::comment(Told { result: &ended.result, course: &course, frame: &frame });
        let marker = markdown::marker(&frame.environment);
        self.report(&ended, &course, frame);
        telling.after(&ended.result, begun, &marker, &body).await;
        let complaints = telling.complaints();
        self.console.commands(&annotate::warnings(&complaints));
        self.append("GITHUB_STEP_SUMMARY", &markdown::complaints(&complaints));
        ended.code
    }

    async fn telling(
        &self,
        asked: &Asked,
        halt: &watch::Sender<Option<crate::ports::Halt>>,
    ) -> Telling {
        let Asked { inputs, invocation, dry_run } = asked;
        let task = match invocation.verb.as_str() {
            "deploy" | "promote" => Some(Task::Deploy),
            "rollback" => Some(Task::Rollback),
            _ => None,
        };
        let mut telling = Telling {
            forge: None,
            task: task.filter(|_| !dry_run),
            deployment: inputs.deployment,
            comment: inputs.comment,
            environment: inputs.environment.clone(),
            head: None,
            halt: halt.subscribe(),
            complaints: Vec::new().into(),
        };
        if telling.task.is_none() {
            return telling;
        }
        match self.forge(inputs) {
            Some(Ok(forge)) => telling.forge = Some(forge),
            Some(Err(complaint)) => telling.complaints.borrow_mut().push(complaint),
            None => {}
        }
        let folder = self.seen.project_dir.clone().or(self.context.workspace.clone());
        if let Some(folder) = folder.filter(|_| telling.forge.is_some()) {
            telling.head = checkout_of(&folder).await.commit;
        }
        let sha = || self.context.sha.as_deref().map(Into::into);
        telling.head = telling.head.or_else(sha);
        telling
    }

    fn forge(&self, inputs: &Inputs) -> Option<crate::ports::forge::Told<Box<dyn Forge>>> {
        Some(forge(ForgeSettings {
            api: self.context.api.clone(),
            repository: self.context.repository.clone()?,
            token: inputs.token.clone()?,
            run_id: self.context.run_id.clone(),
            run_url: self.context.run_url(),
            environment_url: inputs.environment_url.clone(),
            patience: PATIENCE,
        }))
    }

    fn frame(&self, asked: &Asked) -> Frame {
        let Asked { inputs, invocation, .. } = asked;
        let written = || {
            let file = Path::new(".github/workflows").join(ROLLBACK_WORKFLOW);
            let there = self.context.workspace.as_ref()?.join(file).is_file();
            there.then(|| ROLLBACK_WORKFLOW.to_owned())
        };
        let button = inputs.rollback_workflow.clone().or_else(written);
        Frame {
            verb: invocation.verb.clone(),
            environment: inputs.environment.clone(),
            run_url: self.context.run_url(),
            rollback_url: button.and_then(|file| self.context.workflow_url(&file)),
            report_path: None,
        }
    }

    /// Prints the answer, and writes annotations, outputs, report and summary.
    fn report(&self, ended: &Ended, course: &Course, mut frame: Frame) {
        let path = self.write_report(ended, &frame.verb);
        frame.report_path.clone_from(&path);
        match &ended.result {
            Ok(answer) => self.console.text(&answer_text(answer)),
            Err(failure) => {
                self.console.text(&failure_text(failure));
                let project = self.seen.project_dir.as_deref();
                self.console.commands(&annotate::errors(failure, course, &self.context, project));
            }
        }
        self.console.commands(&annotate::warnings(&course.warnings));
        let values = outputs::outputs(ended, course, path.as_deref());
        self.append("GITHUB_OUTPUT", &outputs::rendered(&values));
        let told = Told { result: &ended.result, course, frame: &frame };
        self.append("GITHUB_STEP_SUMMARY", &markdown::summary(told));
        if let Some(workspace) = &self.context.workspace {
            owner::give_away(workspace, self.began);
        }
    }

    /// The answer as JSON in the workspace, where later steps find it; its path in there.
    fn write_report(&self, ended: &Ended, verb: &str) -> Option<String> {
        let workspace = self.context.workspace.as_ref().filter(|path| path.is_dir())?;
        let inside = PathBuf::from(".switchback/reports");
        let folder = workspace.join(&inside);
        let text = match &ended.result {
            Ok(answer) => answer_json(answer),
            Err(failure) => failure_json(failure),
        };
        let name = format!("{verb}.json");
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(".gitignore"), "*\n"))
            .and_then(|()| std::fs::write(folder.join(&name), format!("{text}\n")));
        match written {
            Ok(()) => Some(inside.join(name).display().to_string()),
            Err(error) => {
                self.warn(&format!("the report could not be written to the workspace: {error}"));
                None
            }
        }
    }

    /// Appends to one of the runner's files.
    fn append(&self, variable: &str, text: &str) {
        let Some(path) = (self.env)(variable).filter(|path| !path.is_empty() && !text.is_empty())
        else {
            return;
        };
        let file = OpenOptions::new().append(true).create(true).open(&path);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            self.warn(&format!("{variable} could not be written: {error}"));
        }
    }

    fn warn(&self, text: &str) {
        self.console.text(&format!("warning: {text}\n"));
    }
}
