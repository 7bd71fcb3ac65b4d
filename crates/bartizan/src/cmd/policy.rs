//! What does the policy say, and why? Checks it, shows it as Cedar, and explains one call.

pub(crate) mod judge;
mod reload;

use super::{Desk, here};
use crate::cli::{ExplainArgs, PolicyCheckArgs, PolicyCommand, PolicyShowArgs, exit};
use crate::config::{self, Config, Purpose};
use crate::report::{Failure, Paint, Problem, Voice, did_you_mean, safe};
use bartizan_gate::name::RoleName;
use bartizan_gate::policy::{Judgement, Layer, Policy, Verdict, cedar_schema};
use bartizan_gate::refusal::Refusal;
use bartizan_gate::tool::{Catalogue, ToolDef};
use judge::Bench;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;

/// `bartizan policy …`.
pub(super) fn run(command: &PolicyCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let config = config::load(&desk.places, &here()?, Purpose::Look)?;
    for warning in &config.warnings {
        desk.voice.warn(warning)?;
    }
    let store = super::servers::open(desk)?;
    let (catalogue, problems) = super::servers::catalogue(&config, store.as_ref())?;
    drop(store);
    for problem in &problems {
        desk.voice.warn(problem)?;
    }
    let policy = config.policy(&catalogue)?;
    match command {
        PolicyCommand::Check(args) => check(args, &config, &policy, desk.voice),
        PolicyCommand::Show(args) => {
            let code = show(args, &catalogue, &policy, desk.voice)?;
            if !args.tools && args.tool.is_none() {
                granted(desk)?;
            }
            Ok(code)
        }
        PolicyCommand::Explain(args) => explain(args, &config, catalogue, policy, desk),
        // What has mistakes did not come this far, so nobody is told to read it.
        PolicyCommand::Reload(args) => reload::run(args, desk),
    }
}

fn check(
    args: &PolicyCheckArgs,
    config: &Config,
    policy: &Policy,
    voice: &mut Voice,
) -> Result<u8, Failure> {
    if args.json {
        let files: Vec<Value> = config
            .files
            .iter()
            .map(|(layer, path)| json!({ "layer": layer, "path": path }))
            .collect();
        let found = json!({
            "policies": policy.len(),
            "digest": policy.digest().to_string(),
            "roles": config.roles.keys().collect::<Vec<_>>(),
            "default_role": config.default_role,
            "secrets": config.secrets.iter().map(|(name, secret)| json!({ "name": name, "from": secret.declared.from.to_string() })).collect::<Vec<_>>(),
            "files": files,
        });
        writeln!(voice.out(), "{found}")?;
        return Ok(exit::DONE);
    }
    for (layer, path) in &config.files {
        writeln!(voice.out(), "{:<8} {}", layer.to_string(), safe(&path.display().to_string()))?;
    }
    if config.files.is_empty() {
        writeln!(
            voice.out(),
            "{:<8} the built-in policy alone; nothing is configured",
            Layer::Builtin.to_string()
        )?;
    }
    let roles: Vec<&str> = config.roles.keys().map(RoleName::as_str).collect();
    writeln!(voice.out(), "{:<8} {}", "roles", roles.join(", "))?;
    let ok = voice.paint(Paint::Green, "ok");
    writeln!(voice.out(), "{ok}: {} policies, sha256:{}", policy.len(), policy.digest())?;
    Ok(exit::DONE)
}

fn show(
    args: &PolicyShowArgs,
    catalogue: &Catalogue,
    policy: &Policy,
    voice: &mut Voice,
) -> Result<u8, Failure> {
    if args.tools {
        for tool in catalogue.iter() {
            writeln!(
                voice.out(),
                "{:<13} {:<12} {}",
                tool.effect().as_str(),
                tool.server(),
                tool.name()
            )?;
        }
        return Ok(exit::DONE);
    }
    let text = match &args.tool {
        Some(tool) => schema(catalogue, tool)?,
        None => policy.show(),
    };
    for line in text.lines() {
        writeln!(voice.out(), "{}", safe(line))?;
    }
    Ok(exit::DONE)
}

/// What people have granted for a time, as comments behind the policies: it is bound to one call of one session each,
/// and is no policy.
fn granted(desk: &mut Desk<'_>) -> Result<(), Failure> {
    for line in super::approvals::standing(desk)? {
        writeln!(desk.voice.out(), "// granted: {line}")?;
    }
    Ok(())
}

/// What the Cedar schema says of one tool.
fn schema(catalogue: &Catalogue, tool: &str) -> Result<String, Failure> {
    let tool = known(catalogue, tool)?;
    let whole = cedar_schema(catalogue)
        .map_err(|errors| Failure::new(exit::CONFIG, Problem::from_text(&errors.to_string())))?;
    let head = format!("action \"{}\" ", tool.name());
    let of_tool = whole.split("\n\n").find(|part| part.starts_with(&head));
    Ok(of_tool.unwrap_or_default().replace("__cedar::", ""))
}

fn known(catalogue: &Catalogue, tool: &str) -> Result<Arc<ToolDef>, Failure> {
    catalogue.get(tool).cloned().ok_or_else(|| {
        let problem = Problem::new(format!("there is no tool `{tool}`"));
        let likely = did_you_mean(tool, catalogue.iter().map(|tool| tool.name().as_str()));
        let hint = match likely {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "see those that are known: bartizan policy show --tools; any other is refused"
                .to_owned(),
        };
        Failure::new(exit::NO, problem.hint(hint))
    })
}

fn explain(
    args: &ExplainArgs,
    config: &Config,
    catalogue: Catalogue,
    policy: Policy,
    desk: &mut Desk<'_>,
) -> Result<u8, Failure> {
    let role = config.role(args.role.as_deref())?;
    let arguments: Value = serde_json::from_str(&args.input).map_err(|error| {
        let problem = Problem::new(format!("the arguments are not JSON: {error}"));
        Failure::new(
            exit::USAGE,
            problem.hint("write them in single quotes: '{\"file_path\":\"src/main.rs\"}'"),
        )
    })?;
    let tool = known(&catalogue, &args.tool)?;
    let bench = Bench::new(&role, config, (catalogue, policy), &desk.places)?;
    match bench.ask(&args.tool, arguments, args.subagent.as_deref()) {
        Ok(judgement) => {
            if args.json {
                print_json(&judgement, None, desk.voice)?;
            } else {
                for line in bench.policy().explain(&role, &tool, &judgement).lines() {
                    writeln!(desk.voice.out(), "{}", safe(line))?;
                }
            }
            Ok(code(judgement.verdict))
        }
        Err(refusal) => {
            refused(args, &refusal, desk.voice)?;
            Ok(exit::NO)
        }
    }
}

/// A call that an earlier gate refuses never reaches the policies.
fn refused(args: &ExplainArgs, refusal: &Refusal, voice: &mut Voice) -> io::Result<()> {
    if args.json {
        let policies = refusal.policies();
        let judgement =
            Judgement { verdict: Verdict::Deny, policies: policies.to_vec(), errors: Vec::new() };
        return print_json(&judgement, Some(refusal), voice);
    }
    let verdict = voice.paint(Paint::Red, "deny");
    writeln!(voice.out(), "{verdict}: {} [{}]", safe(&refusal.to_string()), refusal.code())?;
    writeln!(voice.out(), "to change it: {}", safe(&refusal.hint()))
}

fn print_json(
    judgement: &Judgement,
    refusal: Option<&Refusal>,
    voice: &mut Voice,
) -> io::Result<()> {
    let quorum = match judgement.verdict {
        Verdict::Ask { quorum } => Some(quorum),
        Verdict::Allow | Verdict::Deny => None,
    };
    let verdict = match judgement.verdict {
        Verdict::Allow => "allow",
        Verdict::Ask { .. } => "ask",
        Verdict::Deny => "deny",
    };
    let found = json!({
        "verdict": verdict,
        "quorum": quorum,
        "policies": judgement.policies,
        "errors": judgement.errors,
        "code": refusal.map(Refusal::code),
        "reason": refusal.map(ToString::to_string),
    });
    writeln!(voice.out(), "{found}")
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Allow => exit::DONE,
        Verdict::Ask { .. } => exit::ASK,
        Verdict::Deny => exit::NO,
    }
}
