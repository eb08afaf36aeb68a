//! Dist-git: SCM policy and checkout at a commit; nothing from the repository is ever executed.
