// Package view renders what the plugin found for a person or a script.
//
// Every view is a pure function of a model and a [Style]: `func(io.Writer, Model,
// Style) error`. The models are also what `-o json` and `-o yaml` print, so that
// their JSON field names are API. Strings of a model come from the cluster and
// are hostile: everything that is printed goes through [Clean].
//
// What it does not do: it reads no cluster, no clock, no environment and no
// terminal; the caller says in the Style what it knows of them.
package view
