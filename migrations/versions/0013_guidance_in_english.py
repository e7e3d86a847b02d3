"""guidance: English names, so that the administrator's list is whole in every language."""

from alembic import op

revision = "0013_guidance_in_english"
down_revision = "0012_purge"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE guidance ADD COLUMN name_en text NOT NULL DEFAULT '';
        UPDATE guidance SET name_en = seeded.name FROM (VALUES
            ('kodomo_sos', 'Children''s SOS line'),
            ('childline', 'Childline (up to 18)'),
            ('jidou_soudan', 'Child guidance centre (hurt at home)'),
            ('jinken_110', 'Children''s rights line (bullying)'),
            ('yorisoi', 'Yorisoi hotline (anything)'),
            ('yorisoi_tohoku', 'Yorisoi hotline (from Iwate, Miyagi, Fukushima)'),
            ('kokoro', 'Mental health line'),
            ('inochi', 'Inochi no Denwa (lifeline)'),
            ('police', 'Police'),
            ('ambulance', 'Ambulance and fire')
        ) AS seeded (id, name) WHERE guidance.id = seeded.id;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
