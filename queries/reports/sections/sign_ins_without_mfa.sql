--! title = { en = "Who signs in without a second factor, or nobody knows", zh = "未使用或无法确认多因素认证的登录" }
--! about = { en = "Successful sign-ins of each person without MFA, and those of which the event does not say.", zh = "每人未使用多因素认证的成功登录，以及事件未说明的登录。" }
--! empty = { en = "Every sign-in used a second factor.", zh = "所有登录都使用了多因素认证。" }
SELECT account_id, user_type, coalesce(user_name, login_account, principal_id) AS operator, mfa, count(*) AS sign_ins,
       count(DISTINCT source_ip_address) AS addresses, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM signins WHERE outcome = 'success' AND mfa <> 'yes' AND event_time >= $since AND event_time < $until
GROUP BY account_id, user_type, coalesce(user_name, login_account, principal_id), mfa
ORDER BY mfa, sign_ins DESC, account_id, operator
