//! A real PostgreSQL server, found or installed by `scripts/install-test-parts`: one for the whole run, a database for each
//! test.

use crate::support::external::{bound_folder, external_part, spawn_bound};
use crate::support::ports::reserve_port;
use crate::support::program::Program;
use crate::support::waiting::wait_for;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;

pub(crate) struct Postgres {
    bin: String,
    port: u16,
    _process: Child,
}

/// The server of this run; `None`, with a notice, where it is not installed.
pub(crate) fn postgres() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    let bin = external_part("TRAILHOUND_POSTGRESQL")?;
    Some(SERVER.get_or_init(|| Postgres::start(bin)))
}

/// The command that runs `program`: as root by way of the user `postgres`, because the server refuses to run as root.
fn as_its_user(program: &str) -> Vec<String> {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    let words: &[&str] = if id.stdout.trim_ascii() == b"0" {
        &["runuser", "-u", "postgres", "--", program]
    } else {
        &[program]
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Postgres {
    fn start(bin: String) -> Self {
        let folder = bound_folder("postgresql");
        let data = folder.join("data");
        std::fs::create_dir(&data).expect("a folder");
        // Fails without harm where the tests do not run as root.
        let _ = Command::new("chown").arg("-R").arg("postgres").arg(&folder).status();
        let initdb = as_its_user(&format!("{bin}/initdb"));
        let made = Command::new(&initdb[0])
            .args(&initdb[1..])
            .args(["-U", "trailhound", "-A", "trust", "-E", "UTF8", "--no-sync", "-D"])
            .arg(&data)
            .current_dir("/")
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = reserve_port();
        let server = as_its_user(&format!("{bin}/postgres"));
        let place = |path: &Path| path.display().to_string();
        let args = [
            "-D".to_owned(),
            place(&data),
            "-k".to_owned(),
            place(&folder),
            "-p".to_owned(),
            port.to_string(),
        ];
        let process = spawn_bound(
            &server[0],
            server[1..]
                .iter()
                .cloned()
                .chain(args)
                .chain(["-h".to_owned(), "127.0.0.1".to_owned()]),
        );
        let server = Self { bin, port, _process: process };
        wait_for(
            || server.client("psql", &["-c", "SELECT 1", "postgres"]).then_some(()),
            || "the server does not start".to_owned(),
        );
        server
    }

    fn client(&self, program: &str, args: &[&str]) -> bool {
        let port = self.port.to_string();
        let ran = Command::new(format!("{}/{program}", self.bin))
            .args(["-h", "127.0.0.1", "-U", "trailhound", "-p", &port])
            .args(args)
            .output();
        ran.expect("a client").status.success()
    }

    /// Creates an empty database and returns its connection string.
    pub(crate) fn database(&self, name: &str) -> String {
        assert!(self.client("createdb", &[name]), "no database `{name}`");
        self.url(name)
    }

    /// Runs the SQL script `path`, as `pg_dump` writes it, in the database `name`.
    pub(crate) fn restore(&self, name: &str, path: &Path) {
        let path = path.display().to_string();
        let args = ["-q", "-v", "ON_ERROR_STOP=1", "-f", &path, name];
        assert!(self.client("psql", &args), "`{path}` is not restored");
    }

    /// The connection string of a database.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgresql://trailhound@127.0.0.1:{}/{name}", self.port)
    }
}

/// Configures the folder `lake` for a catalog in PostgreSQL.
pub(crate) fn use_postgres_catalog(program: &Program, lake: &str, database: &str) {
    program.write(&format!("{lake}/url"), format!("{database}\n"));
    program.write(&format!("{lake}/catalog.postgresql"), "file:url\n");
}
