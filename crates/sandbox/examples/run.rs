//! What does the box look like from inside? `cargo run --example run -- CMD ARG…` runs a command in one, here.
use bartizan_sandbox::{BoxSpec, HostFacts, Limits, Plan, Stdio, WorkspaceMode, spawn};
use std::io::copy;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argv: Vec<_> = std::env::args_os().skip(1).collect();
    let program = PathBuf::from(argv.first().ok_or("give an absolute path to a program")?);
    let workspace = std::env::current_dir()?;
    let spec = BoxSpec {
        workspace: workspace.clone(),
        workspace_mode: WorkspaceMode::Overlay { size_bytes: 1 << 30, inodes: 100_000 },
        program,
        argv,
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/home/agent".into())],
        cwd: workspace,
        home: "/home/agent".into(),
        readable: std::env::var_os("READABLE").iter().map(PathBuf::from).collect(),
        synthetic: Vec::new(),
        sockets: Vec::new(),
        network: bartizan_sandbox::Reach::Captured,
        inner_boxes: false,
        keep_home: false,
        never_visible: Vec::new(),
        limits: Limits::ordinary(),
        user: "agent".into(),
        stdio: Stdio::piped(),
    };
    let facts = HostFacts::gather(&spec)?;
    let plan = Plan::from_spec(&spec, &facts)?;
    let mut running = spawn(&plan)?;
    drop(running.stdio.stdin.take());
    let stderr = running.stdio.stderr.take().map(std::fs::File::from);
    let errors =
        std::thread::spawn(move || stderr.map(|mut from| copy(&mut from, &mut std::io::stderr())));
    if let Some(stdout) = running.stdio.stdout.take() {
        copy(&mut std::fs::File::from(stdout), &mut std::io::stdout())?;
    }
    drop(errors.join());
    let exit = running.life.wait()?;
    if std::env::var_os("VERBOSE").is_some() {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("{plan}{}{exit:?}\n", running.report).as_bytes(),
        )?;
    }
    Ok(())
}
