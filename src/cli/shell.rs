//! `gapless completions` and `gapless man`: what a shell and a manual know of the command line, made from its definitions.

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print, say_error};

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    gapless completions bash > /usr/share/bash-completion/completions/gapless\n  \
    gapless completions zsh > \"${fpath[1]}/_gapless\"\n  \
    gapless completions fish > ~/.config/fish/completions/gapless.fish")]
pub(super) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    gapless man | man -l -\n  \
    gapless man verify > gapless-verify.1")]
pub(super) struct ManArgs {
    /// The command that the page is about [default: gapless as a whole]
    command: Option<String>,
}

pub(super) fn completions(args: &CompletionArgs) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gapless", &mut script);
    print(&String::from_utf8_lossy(&script));
    0
}

pub(super) fn man(args: &ManArgs) -> u8 {
    let mut whole = Cli::command();
    whole.build();
    let command = match &args.command {
        None => whole,
        Some(name) => match whole.find_subcommand(name) {
            Some(own) => own.clone().name(format!("gapless-{name}")),
            None => {
                let known: Vec<&str> = whole.get_subcommands().map(clap::Command::get_name).collect();
                say_error(&format!("there is no command '{name}'"), &crate::error::nearest(name, known));
                return 2;
            }
        },
    };
    let mut page = Vec::new();
    if let Err(error) = clap_mangen::Man::new(command).render(&mut page) {
        say_error(&format!("the manual page could not be written: {error}"), "this is a defect of gapless: please report it");
        return 2;
    }
    print(&String::from_utf8_lossy(&page));
    0
}
