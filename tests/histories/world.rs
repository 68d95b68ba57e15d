//! The actors of one history and the links between them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::calls::{self, Products, Tokens};
use crate::ground::{Ground, database_url};
use crate::history::{LogRow, Node, Renewal};
use crate::moment::Moment;
use crate::process::{Program, last_words};
use crate::proxy::{Link, Target};
use crate::recorder::Recorder;

/// How long a program may take to serve.
const START: Duration = Duration::from_secs(10);

/// How long after a promotion somebody may be the first to write.
const RENEWAL: Duration = Duration::from_secs(5);

/// What there is of what, and how it is set.
#[derive(Debug, Clone)]
pub struct Plan {
    pub servers: usize,
    pub sidecars: usize,
    pub lease: Duration,
    /// The defect that the programs under test are to have.
    pub defect: Option<String>,
    /// Whether nothing will be made to fail.
    pub calm: bool,
    /// More flags of the servers.
    pub server_flags: Vec<(&'static str, &'static str)>,
}

/// How clients reach everybody.
pub struct Reach {
    pub servers: Vec<SocketAddr>,
    pub sidecars: Vec<SocketAddr>,
    operator: String,
}

impl Reach {
    pub fn client(&self, node: Node) -> Tokens {
        match node {
            Node::Server(number) => calls::client(self.servers[number], Some(&self.operator)),
            Node::Sidecar(number) => calls::client(self.sidecars[number], None),
        }
    }

    pub fn products(&self, server: usize) -> Products {
        Products::at(self.servers[server], &self.operator)
    }
}

/// Every link, by who uses it.
pub struct Links {
    pub client_server: Vec<Link>,
    pub client_sidecar: Vec<Link>,
    pub server_database: Vec<Link>,
    /// By sidecar, then by server.
    pub sidecar_server: Vec<Vec<Link>>,
}

impl Links {
    async fn new(plan: &Plan, database: &Target) -> Self {
        let mut sidecar_server = Vec::new();
        for _ in 0..plan.sidecars {
            sidecar_server.push(links(plan.servers, &Target::Nowhere).await);
        }
        Self {
            client_server: links(plan.servers, &Target::Nowhere).await,
            client_sidecar: links(plan.sidecars, &Target::Nowhere).await,
            server_database: links(plan.servers, database).await,
            sidecar_server,
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &Link> {
        let outer = self.client_server.iter().chain(&self.client_sidecar).chain(&self.server_database);
        outer.chain(self.sidecar_server.iter().flatten())
    }
}

async fn links(count: usize, target: &Target) -> Vec<Link> {
    let mut links = Vec::new();
    for _ in 0..count {
        links.push(Link::to(target.clone()).await);
    }
    links
}

pub struct World {
    pub ground: Arc<Ground>,
    pub plan: Plan,
    pub database: String,
    /// Where the logs are.
    pub directory: PathBuf,
    pub links: Links,
    pub servers: Vec<Mutex<Program>>,
    pub sidecars: Vec<Mutex<Program>>,
    pub recorder: Arc<Recorder>,
    pub reach: Arc<Reach>,
    pub renewals: Mutex<Vec<Renewal>>,
    /// Rows of the log that were deleted.
    pub compacted: Mutex<Vec<LogRow>>,
}

impl World {
    /// A fresh database, and everybody up and serving.
    pub async fn begin(ground: &Arc<Ground>, name: &str, plan: Plan) -> Self {
        ground.fresh_database(name).await;
        if plan.defect.is_some() {
            // One of the defects draws revisions from it.
            let postgres = ground.postgres.lock().await;
            postgres.primary.execute(name, "CREATE SEQUENCE naive_revisions").await;
        }
        let directory = ground.directory.path().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let target = ground.postgres.lock().await.primary.target();
        let links = Links::new(&plan, &target).await;
        let addresses = |links: &[Link]| links.iter().map(|link| link.address).collect();
        let reach = Reach {
            servers: addresses(&links.client_server),
            sidecars: addresses(&links.client_sidecar),
            operator: ground.operator.clone(),
        };
        let mut world = Self {
            ground: Arc::clone(ground),
            database: name.to_owned(),
            directory,
            links,
            servers: Vec::new(),
            sidecars: Vec::new(),
            recorder: Arc::default(),
            reach: Arc::new(reach),
            renewals: Mutex::default(),
            compacted: Mutex::default(),
            plan,
        };
        world.servers = (0..world.plan.servers).map(|number| Mutex::new(world.server(number))).collect();
        world.sidecars = (0..world.plan.sidecars).map(|number| Mutex::new(world.sidecar(number))).collect();
        world.start_everybody().await;
        world
    }

    fn server(&self, number: usize) -> Program {
        let mut program =
            Program::new(&self.ground.program, "serve", self.directory.join(format!("server-{number}.log")));
        let url = database_url(&self.links.server_database[number], &self.database);
        program.environment("TOKENKEEP_DATABASE_URL", url);
        program.argument("--keyring", self.ground.keyring.display().to_string());
        program.argument("--database-connections", "6").argument("--drain-timeout", "1s");
        program.argument("--lease", format!("{}ms", self.plan.lease.as_millis()));
        program.argument("--last-use-interval", "200ms");
        for (name, value) in &self.plan.server_flags {
            program.argument(name, *value);
        }
        self.seed(program)
    }

    fn sidecar(&self, number: usize) -> Program {
        let mut program = Program::new(
            &self.ground.program,
            "sidecar",
            self.directory.join(format!("sidecar-{number}.log")),
        );
        for link in &self.links.sidecar_server[number] {
            program.argument("--upstream", format!("http://{}", link.address));
        }
        program.argument("--credential-file", self.ground.credential.display().to_string());
        program.argument("--last-use-interval", "200ms");
        self.seed(program)
    }

    fn seed(&self, mut program: Program) -> Program {
        if let Some(defect) = &self.plan.defect {
            program.environment("SEEDED_DEFECT", defect);
        }
        program
    }

    async fn start_everybody(&self) {
        let servers = (0..self.servers.len()).map(|number| self.start_patiently(Node::Server(number)));
        assert!(all(servers).await, "a server does not start: {}", last_words(&self.directory));
        let sidecars = (0..self.sidecars.len()).map(|number| self.start_patiently(Node::Sidecar(number)));
        assert!(all(sidecars).await, "a sidecar does not start: {}", last_words(&self.directory));
    }

    pub fn program(&self, node: Node) -> &Mutex<Program> {
        match node {
            Node::Server(number) => &self.servers[number],
            Node::Sidecar(number) => &self.sidecars[number],
        }
    }

    /// Starts a program if it does not run, and leads the links to it.
    pub async fn start(&self, node: Node) -> bool {
        let mut program = self.program(node).lock().await;
        self.start_locked(node, &mut program).await
    }

    /// As whoever runs programs does: one that could not begin, on a machine that is busy, is begun again.
    async fn start_patiently(&self, node: Node) -> bool {
        for _ in 0..3 {
            if self.start(node).await {
                return true;
            }
        }
        false
    }

    pub async fn start_locked(&self, node: Node, program: &mut Program) -> bool {
        let Some(address) = program.start(START).await else { return false };
        let target = Target::Tcp(address);
        match node {
            Node::Server(number) => {
                self.links.client_server[number].lead_to(target.clone());
                self.links.sidecar_server.iter().for_each(|links| links[number].lead_to(target.clone()));
            }
            Node::Sidecar(number) => self.links.client_sidecar[number].lead_to(target),
        }
        true
    }

    /// Where a program that runs listens itself, past every link.
    pub async fn address(&self, node: Node) -> SocketAddr {
        self.program(node).lock().await.start(START).await.unwrap()
    }

    pub fn nodes(&self) -> Vec<Node> {
        let servers = (0..self.servers.len()).map(Node::Server);
        servers.chain((0..self.sidecars.len()).map(Node::Sidecar)).collect()
    }

    /// Ends every fault there may be. Gives the moment at which the last was over.
    pub async fn heal(&self) -> Moment {
        for link in self.links.all() {
            link.clear();
        }
        let target = self.ground.postgres.lock().await.primary.target();
        self.links.server_database.iter().for_each(|link| link.lead_to(target.clone()));
        self.ground.postgres.lock().await.in_step().await;
        for node in self.nodes() {
            self.program(node).lock().await.signal(rustix::process::Signal::CONT);
            self.start_patiently(node).await;
        }
        Moment::now()
    }

    /// Promotes the standby, if there is one; each server is led to the new primary after a while of its own, or not.
    pub async fn promote(&self, delays: &[Option<Duration>]) {
        let before = Moment::now();
        let mut postgres = self.ground.postgres.lock().await;
        if postgres.standby.is_none() {
            return;
        }
        let old = postgres.primary.history_id(&self.database).await;
        postgres.promote().await;
        let target = postgres.primary.target();
        let lead = self.links.server_database.iter().zip(delays).map(|(link, delay)| {
            let target = target.clone();
            async move {
                if let Some(delay) = delay {
                    tokio::time::sleep(*delay).await;
                    link.lead_to(target);
                }
                true
            }
        });
        all(lead).await;
        let promoted = Moment::now();
        while Moment::now().since(promoted) < RENEWAL {
            if postgres.primary.history_id(&self.database).await != old {
                self.renewals.lock().await.push(Renewal { before, after: Moment::now() });
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Whether all came out well. They run at the same time.
async fn all(futures: impl Iterator<Item = impl Future<Output = bool>>) -> bool {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut well = true;
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(done) => {
                well &= done;
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    well
}
