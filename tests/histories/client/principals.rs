//! What a client does to principals and workspaces.

use super::{Client, GROUPS, How, WORKSPACES};
use crate::calls::{self, Born};
use crate::chance::Chance;
use crate::history::{Answer, Call, Edit, Freshness, Node};
use crate::moment::Moment;
use crate::recorder::{Known, Principal};

/// The workspace whose tokens are invalidated.
pub const SALTED: &str = WORKSPACES[2];

/// How many tokens are regenerated at once after an invalidation.
const REVIVED: usize = 3;

/// How many tokens are looked at before and after a change that concerns them.
const GLANCED_AT: usize = 2;

impl Client {
    fn products(&mut self, node: Node) -> &mut calls::Products {
        match node {
            Node::Server(number) => &mut self.products[number],
            Node::Sidecar(_) => panic!("sidecars change nothing"),
        }
    }

    pub async fn create_principal(&mut self, node: Node, workspace: &str, born: Born) -> Option<Principal> {
        let id = format!("principal-{}", self.recorder.mark());
        let invoke = Moment::now();
        let products = self.products(node);
        let (answer, token) = calls::create_principal(products, workspace, &id, born, GROUPS[0]).await;
        let answer = self.record(node, Call::CreatePrincipal { principal: id.clone() }, invoke, answer);
        if let Some(token) = token {
            self.created(node, (Some(&id), GROUPS[0]), invoke, token, false);
        }
        let principal = Principal { id, workspace: workspace.to_owned() };
        (answer == Answer::Done).then(|| {
            self.recorder.add_principal(principal.clone());
            principal
        })
    }

    pub async fn change_principal(
        &mut self,
        node: Node,
        principal: &Principal,
        edit: Edit,
        fleet: bool,
    ) -> Answer {
        match &edit {
            Edit::Held { .. } => {}
            Edit::Deleted => self.recorder.bequeath(&principal.id, None),
            Edit::HandedOver { to } => self.recorder.bequeath(&principal.id, Some(to)),
        }
        let (mark, invoke) = (self.recorder.mark(), Moment::now());
        let Principal { id, workspace } = principal;
        let answer = calls::change_principal(self.products(node), workspace, id, (&edit, mark), fleet).await;
        let call = Call::ChangePrincipal { principal: id.clone(), edit, mark, fleet };
        self.record(node, call, invoke, answer)
    }

    /// Invalidates all secrets of a workspace, or does so dryly.
    pub async fn invalidate(&mut self, node: Node, workspace: &str, dry: bool, fleet: bool) -> Answer {
        let (mark, invoke) = (self.recorder.mark(), Moment::now());
        let answer = calls::invalidate(self.products(node), workspace, mark, dry, fleet).await;
        let call = Call::Invalidate { workspace: workspace.to_owned(), mark, dry, fleet };
        self.record(node, call, invoke, answer)
    }

    /// One change of a principal or a workspace, as chance has it.
    pub(super) async fn change_products(&mut self, node: Node, chance: &mut Chance) {
        let fleet = chance.percent(30);
        if chance.percent(15) {
            let dry = chance.percent(30);
            let concerned = self.some_tokens(|known| known.workspace == SALTED);
            let nodes = [node, self.any_node(chance)];
            self.glance(nodes, &concerned).await;
            self.invalidate(node, SALTED, dry, fleet).await;
            self.glance(nodes, &concerned).await;
            if !dry {
                self.revive(node, chance).await;
            }
            return;
        }
        let principal = self.recorder.pick_principal(chance, None).filter(|_| chance.percent(85));
        let Some(principal) = principal else {
            let workspace = *chance.pick(&[WORKSPACES[0], SALTED]);
            let born = *chance.pick(&[Born::User, Born::ServiceAccount, Born::WithToken]);
            self.create_principal(node, workspace, born).await;
            return;
        };
        let Some(edit) = self.edit(&principal, chance) else { return };
        let concerned = self.some_tokens(|known| known.principal.as_ref() == Some(&principal.id));
        let nodes = [node, self.any_node(chance)];
        self.glance(nodes, &concerned).await;
        self.change_principal(node, &principal, edit, fleet).await;
        self.glance(nodes, &concerned).await;
    }

    fn edit(&self, principal: &Principal, chance: &mut Chance) -> Option<Edit> {
        match chance.below(10) {
            0 => Some(Edit::Deleted),
            1 => {
                let heir = self.recorder.pick_principal(chance, Some(&principal.workspace))?;
                (heir.id != principal.id).then_some(Edit::HandedOver { to: heir.id })
            }
            _ => Some(Edit::Held { wide: chance.percent(60), disabled: chance.percent(30) }),
        }
    }

    /// The last tokens that a change will concern.
    fn some_tokens(&self, concerned: impl Fn(&Known) -> bool) -> Vec<Known> {
        let tokens = self.recorder.tokens().into_iter().rev();
        tokens.filter(|known| known.alive && concerned(known)).take(GLANCED_AT).collect()
    }

    /// Looks at tokens where a change is made and somewhere else, so that both know them before it, or are seen to answer
    /// as before.
    async fn glance(&mut self, nodes: [Node; 2], tokens: &[Known]) {
        for known in tokens {
            let newest = known.secrets.last_key_value().map_or(1, |(generation, _)| *generation);
            for node in nodes {
                self.introspect(node, known, newest, Freshness::Leased).await;
            }
        }
    }

    /// Gives some tokens that were invalidated another secret.
    async fn revive(&mut self, node: Node, chance: &mut Chance) {
        let mut dead: Vec<Known> = self.recorder.tokens();
        dead.retain(|known| known.alive && known.workspace == SALTED);
        for _ in 0..REVIVED.min(dead.len()) {
            let id = chance.pick(&dead).id.clone();
            self.regenerate(node, &id, How::default()).await;
        }
    }
}
