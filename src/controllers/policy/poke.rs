//! Has policies run when something happened that they are about.

use kube::Resource;

use crate::api::objects::PolicyObject;
use crate::api::session_policy::KratosSessionPolicy;
use crate::base::place::Place;
use crate::controllers::context::Context;
use crate::controllers::queue::Priority;
use crate::engine::policy::inputs::instance_place;

/// An instance came, went, or is another one: they run at once.
pub fn instance_changed(context: &Context, instance: &Place) {
    poke(
        context,
        instance,
        |_| true,
        |policy| {
            if let Some(uid) = &policy.meta().uid {
                context.runs.want(uid);
            }
        },
    );
}

/// An identity that a resource of this namespace manages became inactive.
pub fn deactivated(context: &Context, instance: &Place, namespace: &str) {
    poke(context, instance, |policy| *policy == instance.namespace || *policy == namespace, |_| ());
}

/// The labels of a namespace are others: consent and the instances' rules look at those of a policy's own namespace, and a
/// policy may select by those of any.
pub fn namespace_changed(context: &Context, namespace: &str) {
    let selects = |policy: &KratosSessionPolicy| policy.spec.identities.namespace_selector.is_some();
    let is_own = |policy: &KratosSessionPolicy| policy.metadata.namespace.as_deref() == Some(namespace);
    poke_those(context, |policy| is_own(policy) || selects(policy), |_| ());
}

fn poke(context: &Context, instance: &Place, stands_where: impl Fn(&String) -> bool, before: impl Fn(&PolicyObject)) {
    let default = context.options.default_instance.as_ref();
    let refers = |policy: &KratosSessionPolicy| {
        instance_place(policy, default).as_ref() == Some(instance)
            && policy.metadata.namespace.as_ref().is_some_and(&stands_where)
    };
    poke_those(context, refers, before);
}

fn poke_those(context: &Context, is_meant: impl Fn(&KratosSessionPolicy) -> bool, before: impl Fn(&PolicyObject)) {
    let policies = context.policies.state();
    let meant = policies.iter().filter(|object| object.0.as_ref().is_ok_and(&is_meant));
    let places = meant.map(|object| {
        before(object);
        Place::of(&**object)
    });
    context.pokes.policies(places, Priority::Arrived);
}
