from hypothesis import settings

# No deadline: a test must not fail because the machine is busy.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")
