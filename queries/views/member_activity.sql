-- Events of people with users of their own.
SELECT * FROM events WHERE lower(user_type) IN ('ram-user', 'cloudsso-user', 'saml-user', 'oidc-user')
