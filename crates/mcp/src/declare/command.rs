//! Which argument list does a call become? Never a shell's line: each element is one argument, whatever is in it.

use super::input::{Inputs, Values};
use super::template::Template;
use super::{DeclareError, Unfit, encode};
use std::collections::BTreeSet;

/// A command that runs in a box of its own.
#[derive(Debug, Clone)]
pub struct CommandTool {
    argv: Vec<Word>,
    network: Network,
    workspace: Workspace,
}

#[derive(Debug, Clone)]
struct Word {
    template: Template,
    /// Whether it could be taken for an option: no `--` stands before it.
    optionlike: bool,
}

/// What the command's box may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// What the gate lets through, as the role's other boxes.
    Gated,
    /// Nothing.
    None,
}

/// What the command may do to the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workspace {
    /// It writes it at once.
    Direct,
    /// It reads it.
    ReadOnly,
}

impl CommandTool {
    /// Reads an argument list.
    pub fn parse<'a>(
        argv: impl IntoIterator<Item = &'a str>,
        network: Network,
        workspace: Workspace,
    ) -> Result<Self, DeclareError> {
        let mut words: Vec<Word> = Vec::new();
        let mut ended = false;
        for text in argv {
            let template = Template::parse(text)?;
            words.push(Word { template, optionlike: !ended });
            ended |= text == "--";
        }
        let program = words.first().and_then(|word| word.template.literal());
        match program.as_deref() {
            None | Some("") => {
                return Err(DeclareError::new(
                    "the program is fixed by the configuration, never by an argument",
                    "write its name first: argv = [\"git\", …]",
                ));
            }
            Some(program) if is_shell(program) => {
                return Err(DeclareError::new(
                    format!("`{program}` would read an argument as a program of its own"),
                    "name the program itself, with each of its arguments; or write a script and name that",
                ));
            }
            Some(_) => {}
        }
        Ok(Self { argv: words, network, workspace })
    }

    /// What its box may reach.
    pub fn network(&self) -> Network {
        self.network
    }

    /// What it may do to the workspace.
    pub fn workspace(&self) -> Workspace {
        self.workspace
    }

    /// The program that is started.
    pub fn program(&self) -> String {
        self.argv.first().and_then(|word| word.template.literal()).unwrap_or_default()
    }

    pub(super) fn check<'a>(&'a self, inputs: &Inputs) -> Result<BTreeSet<&'a str>, DeclareError> {
        let mut used = BTreeSet::new();
        for word in &self.argv {
            let whole = word.template.whole().is_some();
            for name in word.template.names() {
                let input = inputs.known(name)?;
                if (input.is_optional() || input.is_many()) && !whole {
                    return Err(DeclareError::new(
                        format!(
                            "`{name}` may be missing or be several, so it must be an argument by itself"
                        ),
                        format!("write \"{{{name}}}\" as an element of its own"),
                    ));
                }
                used.insert(name);
            }
        }
        Ok(used)
    }

    pub(super) fn fill(&self, inputs: &Inputs, values: &Values) -> Result<Vec<String>, Unfit> {
        let mut argv = Vec::with_capacity(self.argv.len());
        for Word { template, optionlike } in &self.argv {
            let filled = template.fill(values, encode::word)?;
            // Only a word that begins with what an argument says can be made an option by it.
            if *optionlike && template.begins_open() {
                let name = template.names().next().unwrap_or_default();
                let dash = inputs.get(name).is_some_and(super::input::Input::may_begin_with_dash);
                if !dash && filled.iter().any(|word| word.starts_with('-')) {
                    return Err(Unfit::new(name, "begins with a dash, and would be an option"));
                }
            }
            argv.extend(filled);
        }
        Ok(argv)
    }
}

/// Programs whose arguments are programs.
fn is_shell(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    ["sh", "bash", "dash", "zsh", "fish", "ksh", "busybox", "env", "xargs", "eval", "sudo", "su"]
        .contains(&name)
}
