# Tells lbdev's doctor which settings of a Django project matter behind a balancer. Says nothing secret: of the key only a digest.
import hashlib, json, os, re, sys

sys.path.insert(0, os.getcwd())
with open("manage.py", encoding="utf-8", errors="replace") as file:
    named = re.search(r"DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"]([\w.]+)", file.read())
if named:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", named.group(1))

import django
from django.conf import settings
from django.http.request import validate_host


def allowed(host):
    hosts = settings.ALLOWED_HOSTS
    if settings.DEBUG and not hosts:
        hosts = [".localhost", "127.0.0.1", "[::1]"]
    return validate_host(host, hosts)


databases = [
    {
        "engine": one.get("ENGINE", ""),
        "timeout": (one.get("OPTIONS") or {}).get("timeout"),
        "mode": str((one.get("OPTIONS") or {}).get("transaction_mode", "")),
    }
    for one in settings.DATABASES.values()
]
print(
    json.dumps(
        {
            "version": django.get_version(),
            "python": sys.version.split()[0],
            "settings": os.environ.get("DJANGO_SETTINGS_MODULE", ""),
            "key": hashlib.sha256(str(settings.SECRET_KEY).encode()).hexdigest(),
            "sessions": "django.contrib.sessions" in settings.INSTALLED_APPS,
            "session_engine": settings.SESSION_ENGINE,
            "session_cache": settings.CACHES.get(settings.SESSION_CACHE_ALIAS, {}).get("BACKEND", ""),
            "caches": [one.get("BACKEND", "") for one in settings.CACHES.values()]
            if settings.is_overridden("CACHES")
            else [],
            "databases": databases,
            "hosts": {host: bool(allowed(host)) for host in sys.argv[1:]},
            "debug": bool(settings.DEBUG),
            "secure_cookies": [
                name
                for name in ("CSRF_COOKIE_SECURE", "SESSION_COOKIE_SECURE", "SECURE_SSL_REDIRECT")
                if getattr(settings, name)
            ],
            "csrf_trusted_origins": list(settings.CSRF_TRUSTED_ORIGINS),
        }
    )
)
