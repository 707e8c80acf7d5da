//! A real syslog server (rsyslog).

use crate::support::external::spawn_bound;
use crate::support::ports::wait_until_listening;
use crate::support::program::Program;
use std::process::Child;

/// A server that writes what it receives into the file `received`.
pub(crate) fn start_rsyslog(port: u16, program: &Program, rsyslogd: &str, tls: bool) -> Child {
    let file = |name: &str| program.path(name).display().to_string();
    let (module, driver) = if tls {
        let keys = format!(
            "global(DefaultNetstreamDriverCAFile=\"{certificate}\" DefaultNetstreamDriverCertFile=\"{certificate}\" DefaultNetstreamDriverKeyFile=\"{}\")\n",
            file("key.pem"),
            certificate = file("certificate.pem"),
        );
        (keys, "StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\"")
    } else {
        (String::new(), "")
    };
    program.write(
        "rsyslog.conf",
        format!(
            "global(workDirectory=\"{}\" maxMessageSize=\"64k\")\n{module}module(load=\"imtcp\" {driver})\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
             template(name=\"t\" type=\"string\" string=\"%syslogfacility-text% %syslogseverity-text% %app-name% %msgid% %msg%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"t\")\n",
            file("."),
            file("received"),
        ),
    );
    let server = spawn_bound(
        rsyslogd,
        ["-n", "-f", &file("rsyslog.conf"), "-i", &file(&format!("pid-{port}"))],
    );
    wait_until_listening(port);
    server
}
