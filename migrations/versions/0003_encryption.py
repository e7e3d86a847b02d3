"""Device keys, cross-signing, key backup, to-device messages, and what users keep for themselves."""

from alembic import op

revision = "0003_encryption"
down_revision = "0002_accounts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- JSON is kept as the bytes that go out again (bytea): jsonb would refuse \\u0000 and reorder what is signed.

        CREATE TABLE device_keys (
            user_id   text NOT NULL,
            device_id text NOT NULL,
            keys      bytea NOT NULL,
            PRIMARY KEY (user_id, device_id)
        );

        -- A device that nobody is logged in with, which takes in keys until its owner comes back (MSC3814). One a user.
        CREATE TABLE dehydrated_devices (
            user_id     text PRIMARY KEY,
            device_id   text NOT NULL,
            device_data bytea NOT NULL
        );

        -- Given out in the order of `id`, each exactly once.
        CREATE TABLE one_time_keys (
            id        bigint GENERATED ALWAYS AS IDENTITY,
            user_id   text NOT NULL,
            device_id text NOT NULL,
            algorithm text NOT NULL,
            key_id    text NOT NULL,
            key       bytea NOT NULL,
            PRIMARY KEY (user_id, device_id, algorithm, key_id)
        );
        CREATE INDEX one_time_keys_in_order ON one_time_keys (user_id, device_id, algorithm, id);

        CREATE TABLE fallback_keys (
            user_id   text NOT NULL,
            device_id text NOT NULL,
            algorithm text NOT NULL,
            key_id    text NOT NULL,
            key       bytea NOT NULL,
            used      boolean NOT NULL DEFAULT false,
            PRIMARY KEY (user_id, device_id, algorithm)
        );

        CREATE TABLE cross_signing_keys (
            user_id    text NOT NULL,
            usage      text NOT NULL CHECK (usage IN ('master', 'self_signing', 'user_signing')),
            public_key text NOT NULL,
            key        bytea NOT NULL,
            PRIMARY KEY (user_id, usage)
        );

        -- Signatures that were added after the upload. target_key: a device id, or a cross-signing public key.
        CREATE TABLE key_signatures (
            signer     text NOT NULL,
            signer_key text NOT NULL,
            target     text NOT NULL,
            target_key text NOT NULL,
            signature  text NOT NULL,
            PRIMARY KEY (target, target_key, signer, signer_key)
        );
        CREATE INDEX key_signatures_by_signer ON key_signatures (signer, signer_key);

        -- The newest change of each user's devices or cross-signing keys.
        CREATE TABLE device_changes (user_id text PRIMARY KEY, pos bigint NOT NULL);
        CREATE INDEX device_changes_in_order ON device_changes (pos);

        -- The newest signature that a user put under somebody else's key: only the signer may learn of it.
        CREATE TABLE signature_changes (
            signer text NOT NULL,
            target text NOT NULL,
            pos    bigint NOT NULL,
            PRIMARY KEY (signer, target)
        );

        CREATE TABLE key_backups (
            user_id   text NOT NULL,
            version   bigint NOT NULL,
            algorithm text NOT NULL,
            auth_data bytea NOT NULL,
            etag      bigint NOT NULL DEFAULT 0,
            keys      bigint NOT NULL DEFAULT 0,
            deleted   boolean NOT NULL DEFAULT false,
            PRIMARY KEY (user_id, version)
        );

        CREATE TABLE key_backup_sessions (
            user_id             text NOT NULL,
            version             bigint NOT NULL,
            room_id             text NOT NULL,
            session_id          text NOT NULL,
            first_message_index bigint NOT NULL,
            forwarded_count     bigint NOT NULL,
            is_verified         boolean NOT NULL,
            session_data        bytea NOT NULL,
            PRIMARY KEY (user_id, version, room_id, session_id)
        );

        -- One row a device and message, gone once the device has confirmed it.
        CREATE TABLE to_device (
            user_id   text NOT NULL,
            device_id text NOT NULL,
            pos       bigint NOT NULL,
            message   bytea NOT NULL,
            PRIMARY KEY (user_id, device_id, pos)
        );

        CREATE TABLE to_device_transactions (
            user_id    text NOT NULL,
            device_id  text NOT NULL,
            event_type text NOT NULL,
            txn_id     text NOT NULL,
            at         bigint NOT NULL,
            PRIMARY KEY (user_id, device_id, event_type, txn_id)
        );
        CREATE INDEX to_device_transactions_by_age ON to_device_transactions (at);

        -- room_id '' holds what concerns the whole account.
        CREATE TABLE account_data (
            user_id text NOT NULL,
            room_id text NOT NULL DEFAULT '',
            type    text NOT NULL,
            content bytea NOT NULL,
            pos     bigint NOT NULL,
            PRIMARY KEY (user_id, room_id, type)
        );
        CREATE INDEX account_data_in_order ON account_data (user_id, pos);

        -- What a user has changed of the rule set that everybody starts with.
        CREATE TABLE push_rules (user_id text PRIMARY KEY, changes bytea NOT NULL, pos bigint NOT NULL);

        CREATE TABLE pushers (
            user_id   text NOT NULL,
            app_id    text NOT NULL,
            pushkey   text NOT NULL,
            device_id text NOT NULL,
            pusher    bytea NOT NULL,
            PRIMARY KEY (user_id, app_id, pushkey)
        );
        CREATE INDEX pushers_by_key ON pushers (app_id, pushkey);

        CREATE TABLE filters (
            user_id   text NOT NULL,
            filter_id bigint NOT NULL,
            filter    bytea NOT NULL,
            PRIMARY KEY (user_id, filter_id)
        );
        CREATE UNIQUE INDEX filters_by_content ON filters (user_id, sha256(filter));

        -- thread_id '' is the receipt that counts for all threads.
        CREATE TABLE receipts (
            room_id      text NOT NULL,
            user_id      text NOT NULL,
            receipt_type text NOT NULL,
            thread_id    text NOT NULL DEFAULT '',
            event_id     text NOT NULL,
            event_pos    bigint NOT NULL,
            ts           bigint NOT NULL,
            pos          bigint NOT NULL,
            PRIMARY KEY (room_id, user_id, receipt_type, thread_id)
        );
        CREATE INDEX receipts_in_order ON receipts (room_id, pos);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
