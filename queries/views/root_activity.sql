-- Events of the root account.
SELECT * FROM events WHERE lower(user_type) = 'root-account'
