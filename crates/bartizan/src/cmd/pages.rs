//! How is the command line described elsewhere? Man pages and completions, from the one definition.

use super::Desk;
use crate::cli::{Cli, CompletionsArgs, EXIT_CODES, ManArgs, exit};
use crate::report::Failure;
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::io;
use std::path::Path;

/// `bartizan completions`.
pub(super) fn completions(args: &CompletionsArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    // The generator panics when its writer fails, so it writes into memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bartizan", &mut script);
    desk.voice.out().write_all(&script)?;
    Ok(exit::DONE)
}

/// `bartizan man`.
pub(super) fn man(args: &ManArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(dir) = &args.dir else {
        desk.voice.out().write_all(&page(&command, "bartizan")?)?;
        return Ok(exit::DONE);
    };
    fs::create_dir_all(dir).map_err(|error| Failure::file("create", dir, &error))?;
    let pages = write_pages(dir, &command, "bartizan")?;
    desk.voice.say(&format!("{pages} pages in {}", dir.display()))?;
    Ok(exit::DONE)
}

fn write_pages(dir: &Path, command: &clap::Command, name: &str) -> Result<usize, Failure> {
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?)
        .map_err(|error| Failure::file("write", &path, &error))?;
    let mut pages = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        pages += write_pages(dir, inner, &format!("{name}-{}", inner.get_name()))?;
    }
    Ok(pages)
}

/// One page; the first also holds the table of exit codes as it stands in `--help`.
fn page(command: &clap::Command, name: &str) -> io::Result<Vec<u8>> {
    let title = name.to_uppercase();
    let man = Man::new(command.clone())
        .title(title)
        .section("1")
        .source(concat!("bartizan ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if name == "bartizan" {
        let mut codes = Roff::default();
        codes.control("SH", ["EXIT STATUS"]).control("nf", []);
        for line in EXIT_CODES.lines().skip(1) {
            codes.text([roman(line)]);
        }
        codes.control("fi", []);
        codes.to_writer(&mut page)?;
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}
