//! A real Apache Kafka broker, installed by `scripts/install-test-parts`: one for the whole run, a topic for each test.

use crate::support::external::{bound_folder, external_part, spawn_bound};
use crate::support::ports::reserve_port;
use crate::support::waiting::{PATIENCE, wait_for};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) struct Broker {
    port: u16,
    /// Port of the listener with TLS and SASL.
    secure_port: u16,
    /// The certificate of that listener.
    pub(crate) certificate: PathBuf,
    process: Child,
    folder: PathBuf,
}

/// The broker of this run; `None`, with a notice, where it is not installed.
pub(crate) fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    let jars = external_part("TRAILHOUND_KAFKA_JARS")?;
    Some(BROKER.get_or_init(|| Broker::start(&jars)))
}

/// The password of the user `project`: key id and secret, as a log service wants them.
pub(crate) const PASSWORD: &str = "LTAI5tTestKeyId#test-secret";
const KEY_STORE: &str = "keys.p12";

/// Creates a key store with a self-signed certificate, and returns the path of the certificate.
fn make_certificate(folder: &Path) -> PathBuf {
    let certificate = folder.join("certificate.pem");
    let keytool = |args: &[&str]| {
        let done =
            Command::new("keytool").current_dir(folder).args(args).output().expect("keytool runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    };
    let store = [
        "-keystore",
        KEY_STORE,
        "-storepass",
        "testing",
        "-storetype",
        "PKCS12",
        "-alias",
        "broker",
    ];
    let names =
        ["-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-keyalg", "RSA", "-validity", "2"];
    keytool(&[&["-genkeypair"], &store[..], &names[..]].concat());
    keytool(&[&["-exportcert", "-rfc", "-file", "certificate.pem"], &store[..]].concat());
    certificate
}

impl Broker {
    /// Starts another broker, for a test that signals it.
    pub(crate) fn start_dedicated() -> Option<Self> {
        external_part("TRAILHOUND_KAFKA_JARS").map(|jars| Self::start(&jars))
    }

    /// Sends the signal `name` to the broker.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("pkill")
            .args([&format!("-{name}"), "-P", &self.process.id().to_string(), "java"])
            .status()
            .expect("pkill runs");
        assert!(sent.success(), "the broker is not there");
    }

    fn start(jars: &str) -> Self {
        let folder = bound_folder("kafka");
        let (port, secure_port, controller) = (reserve_port(), reserve_port(), reserve_port());
        let certificate = make_certificate(&folder);
        let settings = folder.join("server.properties");
        let data = folder.join("data");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secure_port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secure_port}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL\n\
             ssl.keystore.location={}\nssl.keystore.type=PKCS12\nssl.keystore.password=testing\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_project=\"{PASSWORD}\";\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n",
            folder.join(KEY_STORE).display(),
            data.display()
        );
        std::fs::write(&settings, text).expect("a file");
        let classes = format!("{jars}/*");
        let formatted = Command::new("java")
            .args([
                "-cp",
                &classes,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "MkU3OEVBNTcwNTJENDM2Qk",
                "-c",
            ])
            .arg(&settings)
            .args(["SCRAM-SHA-256", "SCRAM-SHA-512"].iter().flat_map(|kind| {
                ["-S".to_owned(), format!("{kind}=[name=project,password={PASSWORD}]")]
            }))
            .output()
            .expect("java runs");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stdout));
        let process = spawn_bound(
            "java",
            ["-Xmx384m", "-cp", &classes, "kafka.Kafka", &settings.display().to_string()],
        );
        let broker = Self { port, secure_port, certificate, process, folder };
        broker.wait();
        broker
    }

    fn wait(&self) {
        let admin = self.admin();
        wait_for(
            || admin.inner().fetch_metadata(None, Duration::from_secs(2)).ok(),
            || "the broker does not start".to_owned(),
        );
    }

    pub(crate) fn secure_servers(&self) -> String {
        format!("127.0.0.1:{}", self.secure_port)
    }

    pub(crate) fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.servers()).set("log_level", "0");
        config.create().expect("an admin client")
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let created =
            futures::executor::block_on(self.admin().create_topics([&topic], &AdminOptions::new()))
                .expect("the broker answers");
        assert!(created.iter().all(Result::is_ok), "{created:?}");
    }

    pub(crate) fn delete_topic(&self, name: &str) {
        let deleted =
            futures::executor::block_on(self.admin().delete_topics(&[name], &AdminOptions::new()))
                .expect("the broker answers");
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }

    /// The broker's log segment with the first messages of a partition.
    pub(crate) fn log_file(&self, topic: &str, partition: i32) -> PathBuf {
        self.folder.join(format!("data/{topic}-{partition}/00000000000000000000.log"))
    }

    /// Raises the number of partitions of a topic.
    pub(crate) fn add_partitions(&self, topic: &str, partitions: usize) {
        let wider = NewPartitions::new(topic, partitions);
        let done = futures::executor::block_on(
            self.admin().create_partitions([&wider], &AdminOptions::new()),
        )
        .expect("the broker answers");
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    /// Waits until a consumer group has that number of members.
    pub(crate) fn wait_for_members(&self, group: &str, members: usize) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.servers()).set("log_level", "0");
        let client: BaseConsumer = config.create().expect("a client");
        let there = || {
            let groups = client.fetch_group_list(Some(group), Duration::from_secs(10)).ok()?;
            Some(groups.groups().first()?.members().len())
        };
        wait_for(
            || there().filter(|there| *there == members),
            || format!("the group {group} has {:?} members, not {members}", there()),
        );
    }

    /// Deletes the records of partition 0 before `offset`, as retention does.
    pub(crate) fn delete_records_before(&self, topic: &str, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("a partition");
        futures::executor::block_on(self.admin().delete_records(&list, &AdminOptions::new()))
            .expect("the broker answers");
    }
}

/// The first `most` messages of a topic with one partition, by key.
pub(crate) fn read_messages(
    servers: &str,
    topic: &str,
    most: usize,
) -> BTreeMap<String, Vec<String>> {
    let mut read: BTreeMap<String, Vec<String>> = BTreeMap::new();
    each_message(servers, topic, most, |key, payload| read.entry(key).or_default().push(payload));
    read
}

/// Calls `take` with key and payload of the first `most` messages of a topic with one partition.
pub(crate) fn each_message(
    servers: &str,
    topic: &str,
    most: usize,
    mut take: impl FnMut(String, String),
) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("group.id", format!("{topic}-test"))
        .set("isolation.level", "read_uncommitted");
    // An offset commit would end a poll early, without a message.
    config.set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a client");
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).expect("a partition");
    consumer.assign(&from).expect("assigned");
    for number in 0..most {
        let message = consumer.poll(PATIENCE);
        let message = message.unwrap_or_else(|| {
            let ends = consumer.fetch_watermarks(topic, 0, Duration::from_secs(10));
            panic!("of {most} messages only {number} come; the topic has {ends:?}")
        });
        let message = message.expect("no error");
        let of =
            |bytes: Option<&[u8]>| String::from_utf8(bytes.expect("there").to_vec()).expect("text");
        take(of(message.key()), of(message.payload()));
    }
}
