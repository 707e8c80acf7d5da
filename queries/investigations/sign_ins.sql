--! question = { en = "When, from where and how did this user sign in?", zh = "这个用户何时、从哪里、如何登录？" }
--! when = "A sign-in is doubtful, or a user says it was not them."
--! next = ["address: who else comes from an address", "principal_timeline: what they did after signing in"]
--! [parameters.user]
--! meaning = "User name, principal id, or the name that was typed at the sign-in."
--! [parameters.since]
--! kind = "time"
--! default = "-30d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
SELECT event_time, account_id, user_type, user_name, login_account, outcome, error_code, source_ip_address, source_class,
       geo_country(source_ip) AS country, geo_asn(source_ip) AS asn, mfa, user_agent, event_id
FROM signins
WHERE (user_name = $user OR principal_id = $user OR login_account = $user) AND event_time >= $since AND event_time < $until
ORDER BY event_time, event_id
