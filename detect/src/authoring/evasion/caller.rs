//! Changes to who calls, from where and with what: addresses, credentials, user agents, and the names of action and service.

use super::attack::{
    Attack, Members, account, address, at, is_call, is_of_platform, micros, parameters,
    with_parameters, without,
};
use super::parameters::swap_case;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// `event` with another source address, where it has one.
fn with_address(event: &Value, new: impl Fn(IpAddr) -> Option<Value>) -> Option<Value> {
    let new = new(address(event)?)?;
    let mut changed = event.clone();
    changed["sourceIpAddress"] = new;
    Some(changed)
}

fn addresses(attack: &Attack, new: impl Fn(IpAddr) -> Option<Value>) -> Vec<Vec<Value>> {
    attack.own(|event| with_address(event, &new))
}

/// Sends addresses of proxies along, so that the trail has a list.
pub(super) fn address_list(attack: &Attack) -> Vec<Vec<Value>> {
    let before = addresses(attack, |ip| Some(json!(format!("{ip}, 203.0.113.9"))));
    let behind = addresses(attack, |ip| Some(json!(format!("203.0.113.9,{ip}"))));
    [before, behind].concat()
}

/// Calls over IPv6. Different addresses stay different, and so do different networks mostly: a /24 becomes one of the 256
/// networks (/48) of which the sample of places knows where they are.
pub(super) fn address_ipv6(attack: &Attack) -> Vec<Vec<Value>> {
    addresses(attack, |ip| {
        let IpAddr::V4(ip) = ip else { return None };
        let [a, b, c, d] = ip.octets();
        let network = a ^ b ^ c;
        Some(json!(format!("2001:db8:a{network:02x}:{a:02x}{b:02x}:{c:x}::{d:x}")))
    })
}

/// Is written as IPv6 address that maps the IPv4 address.
pub(super) fn address_mapped(attack: &Attack) -> Vec<Vec<Value>> {
    addresses(attack, |ip| ip.is_ipv4().then(|| json!(format!("::ffff:{ip}"))))
}

/// Is delivered without an address.
pub(super) fn address_missing(attack: &Attack) -> Vec<Vec<Value>> {
    let gone = |event: &Value| address(event).map(|_| without(event.clone(), "sourceIpAddress"));
    [attack.own(gone), addresses(attack, |_| Some(json!("")))].concat()
}

/// Calls through a service or a network of the vendor, which hides the address.
pub(super) fn address_internal(attack: &Attack) -> Vec<Vec<Value>> {
    addresses(attack, |_| Some(json!("Internal")))
}

/// Takes another user agent: the console's, an SDK's, a service's, none.
pub(super) fn other_agent(attack: &Attack) -> Vec<Vec<Value>> {
    let agents = [
        Some("ecs.console.aliyun.com"),
        Some("AlibabaCloud (Linux; amd64) Java/1.8.0 Core/4.6.0"),
        Some("ess.aliyuncs.com"),
        None,
    ];
    let with = |agent: &Option<&str>| {
        attack.own(|event| {
            if is_of_platform(event) || event.get("userAgent").is_none() {
                return None;
            }
            let mut changed = without(event.clone(), "userAgent");
            if let Some(agent) = agent {
                changed["userAgent"] = json!(agent);
            }
            Some(changed)
        })
    };
    agents.iter().flat_map(with).collect()
}

fn odd_case(attack: &Attack, key: &str) -> Vec<Vec<Value>> {
    let with = |change: fn(&str) -> String| {
        attack.own(|event| {
            let mut changed = event.clone();
            changed[key] = json!(change(event[key].as_str().filter(|_| is_call(event))?));
            Some(changed)
        })
    };
    [with(swap_case), with(|name| name.to_lowercase())].concat()
}

/// Writes the operation in another case.
pub(super) fn odd_case_action(attack: &Attack) -> Vec<Vec<Value>> {
    odd_case(attack, "eventName")
}

/// Writes the service in another case.
pub(super) fn odd_case_service(attack: &Attack) -> Vec<Vec<Value>> {
    odd_case(attack, "serviceName")
}

/// Acts in another region.
pub(super) fn other_region(attack: &Attack) -> Vec<Vec<Value>> {
    const REGION: &str = "me-central-1";
    attack.own(|event| {
        event["acsRegion"].as_str().filter(|_| is_call(event))?;
        let with_region = |members: &Members| {
            let mut changed = members.clone();
            *changed.get_mut("RegionId")? = json!(REGION);
            Some(changed)
        };
        let mut changed = with_parameters(event, with_region).unwrap_or_else(|| event.clone());
        changed["acsRegion"] = json!(REGION);
        Some(changed)
    })
}

/// The name of the session that makes `event`, where whoever took the role chose it. The metadata service names the sessions
/// of an instance's role.
fn chosen_session(event: &Value) -> Option<&str> {
    let identity = &event["userIdentity"];
    if identity["type"] != "assumed-role" || address(event).is_none() {
        return None;
    }
    let name = ["userName", "principalId"]
        .iter()
        .find_map(|key| identity[*key].as_str()?.split_once(':').map(|(_, name)| name))?;
    let is_instance = name.starts_with("vm-ram-i-") || name.starts_with("i-");
    (!is_instance).then_some(name)
}

/// Names the session of a role like one of the platform's, wherever the session occurs: the call that took the role names it,
/// and it keeps its name.
pub(super) fn innocent_session(attack: &Attack) -> Vec<Vec<Value>> {
    const NAME: &str = "auto-scaling";
    let given =
        |event: &Value| parameters(event)?.get("RoleSessionName")?.as_str().map(str::to_owned);
    let names: BTreeSet<String> = attack
        .own_events()
        .flat_map(|(_, event)| [chosen_session(event).map(str::to_owned), given(event)])
        .flatten()
        .collect();
    attack.all(|event| {
        let mut changed = event.clone();
        if chosen_session(event).is_some_and(|name| names.contains(name)) {
            for key in ["principalId", "userName"] {
                if let Some((role, _)) =
                    event["userIdentity"][key].as_str().and_then(|text| text.split_once(':'))
                {
                    changed["userIdentity"][key] = json!(format!("{role}:{NAME}"));
                }
            }
        }
        let with_name = |members: &Members| {
            let mut changed = members.clone();
            let name = changed.get_mut("RoleSessionName")?;
            if !names.contains(name.as_str()?) {
                return None;
            }
            *name = json!(NAME);
            Some(changed)
        };
        Some(with_parameters(&changed, with_name).unwrap_or(changed))
    })
}

/// What a call that takes a credential needs.
struct Taking<'a> {
    service: &'a str,
    action: &'a str,
    parameters: Value,
}

/// The call by which the caller of `event` takes another credential, some seconds before.
fn taking(event: &Value, taking: &Taking<'_>) -> Option<Value> {
    let lower = taking.service.to_lowercase();
    let mut call = json!({
        "eventId": format!("taken-{}", event["eventId"].as_str()?), "eventVersion": "1", "eventType": "ApiCall",
        "eventCategory": "Management", "eventRW": "Write", "eventName": taking.action, "serviceName": taking.service,
        "eventSource": format!("{lower}.aliyuncs.com"), "acsRegion": event["acsRegion"], "eventTime": event["eventTime"],
        "sourceIpAddress": event["sourceIpAddress"], "userAgent": event["userAgent"], "vpcId": event["vpcId"],
        "userIdentity": event["userIdentity"], "requestParameters": taking.parameters,
    });
    for key in ["acsRegion", "sourceIpAddress", "userAgent", "vpcId"] {
        if call[key].is_null() {
            call = without(call, key);
        }
    }
    Some(at(call, micros(event)? - 5_000_000))
}

/// Applies `change` to each event of the attacker's with the number of its credential, and puts before the first event of
/// each credential the call by which the attacker takes the other one.
fn with_other_credential(
    attack: &Attack,
    is_concerned: impl Fn(&Value) -> bool,
    take: &dyn Fn(&Value) -> Option<Value>,
    change: impl Fn(&mut Value, usize),
) -> Vec<Vec<Value>> {
    let mut credentials: Vec<String> = Vec::new();
    let mut events = Vec::new();
    for (at, event) in attack.events.iter().enumerate() {
        if !attack.own[at] || !is_call(event) || !is_concerned(event) {
            events.push(event.clone());
            continue;
        }
        let identity = &event["userIdentity"];
        let credential = format!("{}{}", identity["accessKeyId"], identity["principalId"]);
        let known = credentials.iter().position(|known| *known == credential);
        let number = known.unwrap_or_else(|| {
            credentials.push(credential);
            events.extend(take(event));
            credentials.len() - 1
        });
        let mut changed = event.clone();
        change(&mut changed, number);
        events.push(changed);
    }
    if credentials.is_empty() { Vec::new() } else { vec![events] }
}

/// Whether `event` concerns keys of the caller's own, which a session of a role has none of.
fn is_about_own_key(event: &Value) -> bool {
    let action = event["eventName"].as_str().unwrap_or_default().to_lowercase();
    let is_user = |key: &String| key.trim().to_lowercase().starts_with("user");
    let names_user = parameters(event).is_some_and(|members| members.keys().any(is_user));
    matches!(action.as_str(), "createaccesskey" | "updateaccesskey") && !names_user
}

/// Takes a session of a role with the key, and acts with that.
pub(super) fn session_instead_of_key(attack: &Attack) -> Vec<Vec<Value>> {
    let has_key = |event: &Value| {
        let identity = &event["userIdentity"];
        identity["type"] == "ram-user"
            && identity["accessKeyId"].as_str().is_some_and(|key| key.starts_with("LTAI"))
            && !is_about_own_key(event)
    };
    let take = |event: &Value| {
        let role = format!("acs:ram::{}:role/ci-deploy", account(event));
        let parameters =
            json!({ "RoleArn": role, "RoleSessionName": "deploy", "DurationSeconds": "3600" });
        taking(event, &Taking { service: "Sts", action: "AssumeRole", parameters })
    };
    with_other_credential(attack, has_key, &take, |event, number| {
        event["userIdentity"] = json!({
            "type": "assumed-role", "accountId": account(event), "principalId": format!("30000000000000070{number}:deploy"),
            "userName": "ci-deploy:deploy", "accessKeyId": format!("STS.NTevadeExampleSecurityToken{number}"),
            "sessionContext": { "attributes": { "mfaAuthenticated": "false", "creationDate": event["eventTime"] } },
        });
    })
}

/// The last digits of the id of the user or role of `event`: all sessions of a role have the same.
fn id_tail(event: &Value) -> String {
    let principal = event["userIdentity"]["principalId"].as_str().unwrap_or_default();
    let id = principal.split(':').next().unwrap_or_default();
    id.get(id.len().saturating_sub(4)..).unwrap_or_default().to_owned()
}

/// Creates a key with the session or in the console, and acts with that. The keys of a role's sessions are those of one user.
pub(super) fn key_instead_of_session(attack: &Attack) -> Vec<Vec<Value>> {
    let has_session = |event: &Value| {
        let identity = &event["userIdentity"];
        let key = identity["accessKeyId"].as_str();
        address(event).is_some()
            && match identity["type"].as_str() {
                Some("assumed-role") => key.is_some_and(|key| key.starts_with("STS.")),
                Some("ram-user") => key.is_none(),
                _ => false,
            }
    };
    let take = |event: &Value| {
        let parameters = json!({ "UserName": format!("ci.key{}", id_tail(event)) });
        taking(event, &Taking { service: "Ram", action: "CreateAccessKey", parameters })
    };
    with_other_credential(attack, has_session, &take, |event, number| {
        event["userIdentity"] = json!({
            "type": "ram-user", "accountId": account(event), "principalId": format!("20000000000007{}", id_tail(event)),
            "userName": format!("ci.key{}", id_tail(event)), "accessKeyId": format!("LTAI5tEvadeExampleKey000{number}"),
        });
    })
}

/// Services that share operations, and the operations that the vendor's catalogue lists for each of them.
const TWINS: [(&[&str], &[&str]); 4] = [
    (
        &["Ram", "Ims", "CloudSSO"],
        &[
            "creategroup",
            "createuser",
            "deletegroup",
            "deleteuser",
            "getgroup",
            "getpasswordpolicy",
            "getuser",
            "listgroups",
            "listusers",
            "setpasswordpolicy",
            "updategroup",
            "updateuser",
        ],
    ),
    (
        // CloudSSO puts users of a directory into groups of it, by their ids: another act with the same name.
        &["Ram", "Ims"],
        &[
            "addusertogroup",
            "bindmfadevice",
            "changepassword",
            "createaccesskey",
            "createloginprofile",
            "createvirtualmfadevice",
            "deleteaccesskey",
            "deleteloginprofile",
            "deletevirtualmfadevice",
            "getaccesskeylastused",
            "getloginprofile",
            "getsecuritypreference",
            "getusermfainfo",
            "listaccesskeys",
            "listgroupsforuser",
            "listusersforgroup",
            "listvirtualmfadevices",
            "removeuserfromgroup",
            "setsecuritypreference",
            "unbindmfadevice",
            "updateaccesskey",
            "updateloginprofile",
        ],
    ),
    (
        &["Ram", "ResourceManager"],
        &[
            "createpolicy",
            "createpolicyversion",
            "createrole",
            "deletepolicy",
            "deletepolicyversion",
            "deleterole",
            "getpolicy",
            "getpolicyversion",
            "getrole",
            "listpolicies",
            "listpolicyversions",
            "listroles",
            "setdefaultpolicyversion",
            "updaterole",
        ],
    ),
    (
        &["ResourceManager", "ResourceDirectoryMaster"],
        &[
            "accepthandshake",
            "attachcontrolpolicy",
            "bindsecuremobilephone",
            "changeaccountemail",
            "createcontrolpolicy",
            "createfolder",
            "createresourceaccount",
            "deleteaccount",
            "deletecontrolpolicy",
            "deletefolder",
            "deregisterdelegatedadministrator",
            "destroyresourcedirectory",
            "detachcontrolpolicy",
            "disablecontrolpolicy",
            "enablecontrolpolicy",
            "enableresourcedirectory",
            "inviteaccounttoresourcedirectory",
            "moveaccount",
            "registerdelegatedadministrator",
            "removecloudaccount",
            "setmemberdeletionpermission",
            "updateaccount",
            "updatecontrolpolicy",
            "updatefolder",
        ],
    ),
];

/// Calls the same operation of a service that has it too.
pub(super) fn twin_service(attack: &Attack) -> Vec<Vec<Value>> {
    let with = |twin: &&str| attack.calls(|event| twinned(event, twin));
    ["Ram", "Ims", "CloudSSO", "ResourceManager", "ResourceDirectoryMaster"]
        .iter()
        .flat_map(with)
        .collect()
}

/// `event` as a call of the service `twin`, where that has the operation too.
fn twinned(event: &Value, twin: &str) -> Option<Value> {
    let service = event["serviceName"].as_str()?;
    let action = event["eventName"].as_str()?.to_lowercase();
    let is_twin = TWINS.iter().any(|(services, actions)| {
        actions.contains(&action.as_str())
            && services.contains(&twin)
            && services.iter().any(|known| known.eq_ignore_ascii_case(service))
    });
    if !is_twin || service.eq_ignore_ascii_case(twin) {
        return None;
    }
    // IMS names users by their sign-in names.
    let domain = format!("@{}.onaliyun.com", account(event));
    let rename = |members: &Members| {
        let one = |(key, value): (&String, &Value)| match (twin, key.as_str(), value.as_str()) {
            ("Ims", "UserName", Some(name)) if action != "createuser" => {
                ("UserPrincipalName".to_owned(), json!(format!("{name}{domain}")))
            }
            ("Ram", "UserPrincipalName", Some(name)) => {
                ("UserName".to_owned(), json!(name.split('@').next()))
            }
            _ => (key.clone(), value.clone()),
        };
        Some(members.iter().map(one).collect())
    };
    let mut changed = match parameters(event) {
        Some(_) => with_parameters(event, rename)?,
        None => event.clone(),
    };
    changed["serviceName"] = json!(twin);
    changed["eventSource"] = json!(format!("{}.aliyuncs.com", twin.to_lowercase()));
    Some(changed)
}
