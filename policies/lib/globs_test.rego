package oms_gate.lib.globs_test

import data.oms_gate.lib.globs

test_a_glob_matches_all_of_a_text if {
	every text, matched in {
		"assets/x": true,
		"assets/": true,
		"assets/x/y": false,
		"xassets/x": false,
		"assets": false,
		"Assets/x": false,
		"assets/x\n": true,
		"assets/\u202e": true,
	} {
		matches("assets/*", text) == matched
	}
}

test_two_stars_go_over_segments if {
	every text, matched in {
		"a/x.py": true,
		"a/b/x.py": true,
		"a/b\n/x.py": true,
		"a/.py": true,
		"a/x.pyc": false,
		"b/a/x.py": false,
	} {
		matches("a/**.py", text) == matched
	}
}

test_other_characters_stand_for_themselves if {
	every wildcard, look_alike in {
		"a.b": "axb",
		"a+": "aa",
		"(a|b)": "a",
		"[ab]": "a",
		`\d`: "7",
		`\E.\E`: `\Ex\E`,
		`\Q`: "Q",
		"^a$": "a",
		"a?": "a",
		"{a}": "a",
	} {
		globs.matches(wildcard, wildcard)
		not globs.matches(wildcard, look_alike)
	}
	globs.matches(`*\E*`, `x\Ey`)
	not globs.matches(`*\E*`, `xEy`)
}

test_a_folder_covers_what_is_below if {
	every wildcard, names in {
		"hf://org/*": {
			"hf://org/m": true,
			"hf://org/m/onnx": true,
			"hf://org/m\n": true,
			"hf://org": false,
			"hf://org-evil/m": false,
			"xhf://org/m": false,
			"hf://ORG/m": false,
		},
		"hf://org/m": {
			"hf://org/m": true,
			"hf://org/m/onnx/y": true,
			"hf://org/m2": false,
			"hf://org/m\n/x": false,
			"hf://org/": false,
		},
		"hf://org/m-*": {"hf://org/m-": true, "hf://org/m-2/x": true, "hf://org/m": false},
		"hf://org/max*": {"hf://org/max-2": true, "hf://org/ma-2": false, "hf://org/max": true},
		"s3://b/**": {"s3://b/": true, "s3://b/x/y": true, "s3://bx/y": false},
		"s3://b/*/v1": {
			"s3://b/a/v1": true,
			"s3://b/a/v1/x": true,
			"s3://b//v1": true,
			"s3://b/a/b/v1": false,
			"s3://b/a/v12": false,
			"s3://c/a/v1": false,
			"s3://b/a": false,
		},
		"s3://b/**/v1": {"s3://b/a/b/v1": true, "s3://b/v1": false, "s3://b/a/b/v1.old": false},
		"s3://b/*-gguf*": {"s3://b/x-gguf": true, "s3://b/x-gguf2/y": true, "s3://b/x/y-gguf": false},
		"hf://a*b.c/*": {"hf://axb.c/m": true, "hf://axbxc/m": false, "hf://a/b.c/m": false},
	} {
		every name, covered in names {
			covers(wildcard, name) == covered
		}
	}
}

test_several_globs_are_one_expression if {
	expression := globs.any_of({"a/*", "b.txt"})
	every path, matched in {"a/x": true, "b.txt": true, "a/x/y": false, "bxtxt": false, "xb.txt": false, "b.txtx": false} {
		regex.match(expression, path) == matched
	}
}

default matches(_, _) := false

matches(wildcard, text) if globs.matches(wildcard, text)

default covers(_, _) := false

covers(wildcard, name) if globs.covers(wildcard, name)
