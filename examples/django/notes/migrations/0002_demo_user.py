from django.contrib.auth.hashers import make_password
from django.db import migrations


def create(apps, schema_editor):
    """Somebody to log in as: demo, with the password demo."""
    apps.get_model("auth", "User").objects.get_or_create(
        username="demo", defaults={"password": make_password("demo")}
    )


class Migration(migrations.Migration):
    dependencies = [
        ("notes", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
