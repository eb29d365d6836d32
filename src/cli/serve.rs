//! `viraldb serve`

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;

use super::Context;
use super::secret_input::without_newline;
use super::values::read;
use viraldb::private::bounded;
use viraldb::queue::Stop;
use viraldb::secrets::Secret;
use viraldb::web::{self, Dashboard, ServeOptions};
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8480")]
    listen: SocketAddr,
    /// Also answer to this host name, such as the name of a proxy; may be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// File with the users who may log in, one NAME:HASH per line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    auth_file: Option<PathBuf>,
    /// File with a token for programs; without --auth-file, people log in with it, too
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// Allow visitors to retry jobs, answer reviews, resolve errors and pause the queue
    #[arg(long)]
    allow_actions: bool,
    /// Trust a proxy that speaks HTTPS: cookies are sent over HTTPS only, and X-Forwarded-For names the visitor
    #[arg(long)]
    behind_proxy: bool,
    /// Folder of the backups [default: backups next to the SQLite file, or ./backups]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    backups: Option<PathBuf>,
    /// Read a password and print the line for NAME in the file of --auth-file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["listen", "hosts", "auth_file", "token_file", "allow_actions", "behind_proxy", "backups"])]
    hash_password: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        if let Some(name) = self.hash_password {
            let line = web::hash_password(&name, &password()?)?;
            context.output.raw(&format!("{line}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let options = ServeOptions {
            listen: self.listen,
            hosts: self.hosts,
            auth_file: self.auth_file,
            token_file: self.token_file,
            allow_actions: self.allow_actions,
            behind_proxy: self.behind_proxy,
            backups: self.backups,
            config: context.config.clone(),
        };
        let dashboard = Dashboard::bind(&context.url()?, &options)?;
        let stop = Stop::default();
        stop.on_signals()?;
        context.say(&format!("listening on http://{}/ (press Ctrl-C to stop)\n", dashboard.address()))?;
        context.output.flush();
        dashboard.run(&stop)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads a password from the terminal, twice, or from standard input.
fn password() -> Result<Secret> {
    if !io::stdin().is_terminal() {
        return Ok(without_newline(read(Path::new("-"), bounded::BY_HAND)?));
    }
    let ask = |prompt| rpassword::prompt_password(prompt).map_err(|error| Error::io("the terminal", error));
    let password = ask("password (input is hidden): ")?;
    if ask("the same password again: ")? != password {
        return Err(Error::invalid("the passwords", "differ; nothing was printed"));
    }
    Ok(password.into())
}
